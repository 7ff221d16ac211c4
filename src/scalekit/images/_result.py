"""A compressed image and the account of how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scalekit.images._formats import CONTENT_TYPES

if TYPE_CHECKING:
    from scalekit.images._formats import Encoding
    from scalekit.images._plan import Plan

_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an image was made."""

    plan: Plan
    """What was decided from the header; `plan.source` is the input's `ImageInfo`."""
    encoding: Encoding
    """What it was encoded with; perhaps at a lower quality than asked, so as not to grow."""
    encodes: int
    """How often it was encoded until it was small enough."""
    reached: bool
    """Whether it is as small as it had to be; False for a few hundred bytes that are all header."""
    backend: str
    """The backend and its codecs, with versions: same input, recipe and this give the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedImage:
    """An encoded image: upright, sRGB, without metadata."""

    data: bytes = field(repr=False)
    width: int
    height: int
    input_bytes: int
    report: Report = field(repr=False)
    sha256: str = ""
    """Hash of `data`, in hex."""

    def __post_init__(self) -> None:
        import hashlib  # noqa: PLC0415  # loads OpenSSL: a tenth of the import time of the block

        object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    @property
    def format(self) -> str:
        """Name of the format, as in `ImageLimits.formats`."""
        return self.report.encoding.format

    @property
    def content_type(self) -> str:
        """The media type."""
        return CONTENT_TYPES[self.format]

    @property
    def filename(self) -> str:
        """A name that is different for different bytes: the hash and the format's suffix."""
        return f"{self.sha256}.{self.report.encoding.suffix}"

    @property
    def output_bytes(self) -> int:
        """Length of `data`."""
        return len(self.data)

    @property
    def ratio(self) -> float:
        """Output bytes by input bytes: 0.1 is a tenth of the upload."""
        return self.output_bytes / self.input_bytes

    def cache_headers(self) -> dict[str, str]:
        """Return HTTP headers for serving it under `filename`: immutable (RFC 8246), with an ETag."""
        return {"Cache-Control": f"public, max-age={_YEAR}, immutable", "ETag": f'"{self.sha256}"'}
