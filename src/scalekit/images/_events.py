"""What the image block reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ImageBroken, ImageRejected
from scalekit.events import Event

if TYPE_CHECKING:
    from scalekit.images._result import CompressedImage


class ImageEvent(Event):
    """One call of `compress`: `outcome` is "ok", "rejected" (see `reason`), "broken" or "error".

    `input_format`, `input_bytes` and `output_bytes` are None where the call ended before they were known.
    """

    __slots__ = ("input_bytes", "input_format", "output_bytes", "reason")

    def __init__(
        self, outcome: str, seconds: float, *, image: CompressedImage | None = None, reason: str | None = None
    ) -> None:
        super().__init__("images", "compress", outcome=outcome, seconds=seconds)
        self.reason: str | None = reason
        self.input_format: str | None = None if image is None else image.report.plan.source.format
        self.input_bytes: int | None = None if image is None else image.input_bytes
        self.output_bytes: int | None = None if image is None else image.output_bytes


def compressed(image: CompressedImage, seconds: float) -> ImageEvent:
    """Return the event of a success."""
    return ImageEvent("ok", seconds, image=image)


def failed(error: Exception, seconds: float) -> ImageEvent:
    """Return the event of a refusal or a fault."""
    if isinstance(error, ImageRejected):
        return ImageEvent("rejected", seconds, reason=error.reason)
    return ImageEvent("broken" if isinstance(error, ImageBroken) else "error", seconds)
