"""What a third party can plug in: a backend that turns a plan into pixels and pixels into bytes.

Limits, plan and the choice of quality are scalekit's; a backend only does what the plan says. An
optional capability would be a protocol of its own next to these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from scalekit.images._formats import Encoding
    from scalekit.images._plan import Plan
    from scalekit.images._recipe import ImageRecipe


class Rendered(Protocol):
    """Pixels of one image: upright, sRGB, resized, flattened where the plan says so."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, equal to the plan's `canvas`."""
        ...

    def encode(self, encoding: Encoding, /) -> bytes:
        """Return a complete file without metadata; may be called several times with other settings.

        Deterministic: the same pixels and `encoding` give the same bytes. CPU-bound, blocks.
        """
        ...


@runtime_checkable
class ImageBackend(Protocol):
    """Decodes and encodes images. One object serves many threads at once, and it can be pickled."""

    @property
    def version(self) -> str:
        """Name and version of the library and of its codecs: all that may change the bytes."""
        ...

    def check(self, recipe: ImageRecipe, /) -> None:
        """Raise `ConfigurationError`, naming the remedy, if a step of `recipe` cannot be done.

        Called once, when a compressor is made.
        """
        ...

    def render(self, plan: Plan, data: bytes, /) -> Rendered:
        """Do every step of `plan` up to encoding; `data` has passed the limits. CPU-bound, blocks.

        Raises `ImageBroken` if `data` is damaged or its pixels are not what `plan.source` announced,
        `ImageRejected` ("format") if the format cannot be read here, ("pixels") for a limit of the
        library itself, and `BackendError` for faults that are not the image's, such as lack of memory.
        """
        ...
