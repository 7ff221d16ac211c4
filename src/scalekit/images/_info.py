"""What a header says about an image."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The facts of an encoded image that `probe` reads without decoding a pixel.

    `format` is "jpeg", "png", "webp", "gif", "avif", "heif" or "unknown"; `width` and `height` are
    pixels as declared, before orientation, and 0 where the header does not say.
    """

    format: str
    width: int
    height: int
    _: KW_ONLY
    frames: int = 1
    """Frames of an animation, 1 for a still."""
    orientation: int = 1
    """How to turn the picture upright, as Exif counts: 1 (as it is) to 8."""
    scans: int = 0
    """JPEG: passes over the picture; a progressive one usually has 10. 0 in other formats."""
    progressive: bool = False
    """JPEG: a decoder must keep every coefficient in memory until the last scan."""
    sampling: tuple[tuple[int, int], ...] = ()
    """JPEG: horizontal and vertical sampling factor of each component."""
    bit_depth: int = 8
    """Bits per sample."""
    has_alpha: bool = False
    """Transparency is declared."""
    icc: bool = False
    """A colour profile is embedded."""
    comment: bool = False
    """A free-text comment is present."""
    metadata_bytes: int = 0
    """Bytes of everything that is neither picture nor structure: Exif, XMP, profiles, text."""
    trailing_bytes: int = 0
    """Bytes after the picture's end: a second file may hide there."""
    truncated: bool = False
    """The end of the picture is missing."""
    input_bytes: int = 0
    """Length of the encoded image."""

    @property
    def pixels(self) -> int:
        """Width times height of one frame."""
        return self.width * self.height

    @property
    def total_pixels(self) -> int:
        """Pixels of all frames together."""
        return self.width * self.height * self.frames

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)  # noqa: PLR2004

    @property
    def subsampling(self) -> str | None:
        """JPEG chroma subsampling in the usual notation ("4:2:0"), None where it has no name."""
        if len(self.sampling) != 3 or self.sampling[1:] != ((1, 1), (1, 1)):  # noqa: PLR2004
            return None
        return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (1, 2): "4:4:0"}.get(
            self.sampling[0]
        )
