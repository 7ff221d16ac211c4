"""What an upload may cost, decided from its header alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from scalekit.errors import ConfigurationError, ImageBroken, ImageRejected
from scalekit.images._check import whole
from scalekit.images._formats import CONTENT_TYPES
from scalekit.images._refusal import FormatRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scalekit.images._info import ImageInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Limits on what a decoder gets to see. They are checked in the order below, cheapest first.

    The defaults suit uploads by strangers. Every breach is an `ImageRejected` whose `reason` is the
    word in brackets. A truncated file is `ImageBroken`.

    A limit on pixels above 89 million meets Pillow's own process-wide one, which this library
    neither changes nor evades: Pillow warns above it and above twice that much the image is
    rejected as "pixels".
    """

    max_bytes: int = 20 * 2**20
    """Encoded length (bytes)."""
    formats: frozenset[str] = frozenset(CONTENT_TYPES)
    """Names out of jpeg, png, webp, gif, avif; decided by the bytes, not by a name or header (format)."""
    max_side: int = 16_384
    """Width and height, each (side)."""
    max_pixels: int = 50_000_000
    """Width times height (pixels)."""
    max_frames: int = 200
    """Frames of an animation (frames)."""
    max_total_pixels: int = 100_000_000
    """Pixels of all frames together (total_pixels)."""
    max_scans: int = 64
    """Passes of a JPEG; each costs a decoder the whole picture, and a normal one has 10 (scans)."""
    max_metadata: int = 2**20
    """Bytes of Exif, XMP, profiles and text together (metadata)."""

    def __post_init__(self) -> None:
        for name in (
            "max_bytes",
            "max_side",
            "max_pixels",
            "max_frames",
            "max_total_pixels",
            "max_scans",
        ):
            whole(getattr(self, name), name, 1)
        whole(self.max_metadata, "max_metadata", 0)
        object.__setattr__(self, "formats", _formats(self.formats))

    @classmethod
    def uploads(cls) -> Self:
        """Return the limits for files from strangers, which are the defaults."""
        return cls()

    def check_bytes(self, length: int) -> None:
        """Raise `ImageRejected` ("bytes") when an encoded image of `length` bytes is too long."""
        if length > self.max_bytes:
            raise ImageRejected("bytes", self.max_bytes, length)

    def check(self, info: ImageInfo) -> None:
        """Raise `ImageRejected` for the first limit that `info` breaks, `ImageBroken` if it is damaged."""
        self.check_bytes(info.input_bytes)
        if info.format not in self.formats:
            raise FormatRejected("format", tuple(sorted(self.formats)), info.format)
        side = max(info.width, info.height)
        for reason, limit, actual in (
            ("side", self.max_side, side),
            ("pixels", self.max_pixels, info.pixels),
            ("frames", self.max_frames, info.frames),
            ("total_pixels", self.max_total_pixels, info.total_pixels),
            ("scans", self.max_scans, info.scans),
            ("metadata", self.max_metadata, info.metadata_bytes),
        ):
            if actual > limit:
                raise ImageRejected(reason, limit, actual)
        if info.truncated:
            raise ImageBroken(f"the {info.format} image ends before its end marker")
        if not info.pixels:
            raise ImageBroken(f"the {info.format} header declares {info.width}x{info.height} pixels")


def _formats(value: Iterable[str]) -> frozenset[str]:
    expected = f"as a non-empty set out of {', '.join(sorted(CONTENT_TYPES))}"
    try:
        names = frozenset(() if isinstance(value, str) else value)
    except TypeError:
        raise ConfigurationError("formats", value, expected) from None
    if not names or not names <= CONTENT_TYPES.keys():
        raise ConfigurationError("formats", value, expected)
    return names
