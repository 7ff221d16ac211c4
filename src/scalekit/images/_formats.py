"""The formats an image can be encoded to, with their settings.

The quality numbers of different formats do not mean the same: a SSIMULACRA2 score of about 75 is
JPEG 75, WebP 78, AVIF 57 to 60.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeGuard

from scalekit.errors import ConfigurationError
from scalekit.images._check import flag, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}
"""Every format name of this block, with its media type."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """JPEG at `quality` 1 to 100, with optimised Huffman tables; it has no transparency.

    `progressive` costs some milliseconds and saves 3 to 7 % of the bytes.
    """

    quality: int = 80
    _: KW_ONLY
    progressive: bool = True

    format: ClassVar[str] = "jpeg"
    suffix: ClassVar[str] = "jpg"
    alpha: ClassVar[bool] = False
    max_side: ClassVar[int] = 65_500

    def __post_init__(self) -> None:
        whole(self.quality, "quality", 1, 100)
        flag(self.progressive, "progressive")


@dataclass(frozen=True, slots=True)
class Webp:
    """WebP at `quality` 1 to 100; `lossless` keeps every pixel, and `quality` then is effort."""

    quality: int = 80
    _: KW_ONLY
    lossless: bool = False

    format: ClassVar[str] = "webp"
    suffix: ClassVar[str] = "webp"
    alpha: ClassVar[bool] = True
    max_side: ClassVar[int] = 16_383

    def __post_init__(self) -> None:
        whole(self.quality, "quality", 1, 100)
        flag(self.lossless, "lossless")


@dataclass(frozen=True, slots=True)
class Avif:
    """AVIF at `quality` 1 to 100 and `speed` 0 (slowest, smallest) to 10.

    Quality 60 looks like JPEG 75 to 80. Each two steps down in speed double the time or more and
    save 5 to 10 % of the bytes.
    """

    quality: int = 60
    _: KW_ONLY
    speed: int = 8

    format: ClassVar[str] = "avif"
    suffix: ClassVar[str] = "avif"
    alpha: ClassVar[bool] = True
    max_side: ClassVar[int] = 65_535

    def __post_init__(self) -> None:
        whole(self.quality, "quality", 1, 100)
        whole(self.speed, "speed", 0, 10)


@dataclass(frozen=True, slots=True)
class Png:
    """PNG: every pixel exact, for drawings and screenshots; photographs become many times larger."""

    format: ClassVar[str] = "png"
    suffix: ClassVar[str] = "png"
    alpha: ClassVar[bool] = True
    max_side: ClassVar[int] = 2**31 - 1


Encoding: TypeAlias = "Jpeg | Webp | Avif | Png"
Lossy: TypeAlias = "Jpeg | Webp | Avif"
_ENCODINGS: dict[str, type[Encoding]] = {kind.format: kind for kind in (Jpeg, Webp, Avif, Png)}


def encoding(value: object) -> Encoding:
    """Return `value` when it is one of the encodings; else `ConfigurationError`."""
    if not isinstance(value, (Jpeg, Webp, Avif, Png)):
        raise ConfigurationError("encoding", value, "as Jpeg(...), Webp(...), Avif(...) or Png()")
    return value


def is_lossy(value: Encoding) -> TypeGuard[Lossy]:
    """Return whether a lower quality makes the file smaller."""
    return isinstance(value, (Jpeg, Avif)) or (isinstance(value, Webp) and not value.lossless)


def encoding_to_dict(value: Encoding) -> dict[str, Any]:
    """Return the format's name and every setting."""
    return {"format": value.format, **asdict(value)}


def encoding_from_dict(fields: Mapping[str, Any]) -> Encoding:
    """Return the encoding that `encoding_to_dict` described; `ConfigurationError` for anything else."""
    settings = dict(fields)
    name = settings.pop("format", None)
    kind = _ENCODINGS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ConfigurationError("format", name, f"as one of {', '.join(sorted(_ENCODINGS))}")
    try:
        return kind(**settings)
    except TypeError:
        raise ConfigurationError("encode", dict(fields), f"with the settings of {kind.__name__}") from None
