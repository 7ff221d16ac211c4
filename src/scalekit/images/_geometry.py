"""Boxes and sizes: which part of the picture goes where, in exact arithmetic on the upright picture."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, TypeAlias, TypeGuard, cast

from scalekit.errors import ConfigurationError
from scalekit.images._check import colour, whole
from scalekit.images._refusal import AspectRejected

Size: TypeAlias = "tuple[int, int]"
Box: TypeAlias = "tuple[float, float, float, float]"
"""left, top, right, bottom."""

_LARGEST = 65_535


class Placed(NamedTuple):
    """The `box` of the source is scaled to `size`, which is put at `offset` on a `canvas`."""

    box: Box
    size: Size
    canvas: Size
    offset: Size


@dataclass(frozen=True, slots=True)
class Fit:
    """Inside `width` x `height`, proportions kept, never enlarged."""

    width: int
    height: int

    def __post_init__(self) -> None:
        _sides(self)

    def place(self, source: Size) -> Placed:
        """Return how a picture of `source` pixels is resized."""
        scale = min(1.0, self.width / source[0], self.height / source[1])
        size = _scaled(source, scale)
        return Placed((0.0, 0.0, float(source[0]), float(source[1])), size, size, (0, 0))


@dataclass(frozen=True, slots=True)
class Cover:
    """Fill `width` x `height`, cutting what sticks out; a smaller picture is cut to the proportions.

    `focal` is the point to keep in the middle where possible, in fractions of width and height.
    """

    width: int
    height: int
    _: KW_ONLY
    focal: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        _sides(self)
        object.__setattr__(self, "focal", _point(self.focal))

    def place(self, source: Size) -> Placed:
        """Return how a picture of `source` pixels is cut and resized."""
        shrink = min(1.0, source[0] / self.width, source[1] / self.height)
        size = _scaled((self.width, self.height), shrink)
        scale = max(size[0] / source[0], size[1] / source[1])
        box_width, box_height = min(source[0], size[0] / scale), min(source[1], size[1] / scale)
        left = min(max(0.0, self.focal[0] * source[0] - box_width / 2), source[0] - box_width)
        top = min(max(0.0, self.focal[1] * source[1] - box_height / 2), source[1] - box_height)
        return Placed((left, top, left + box_width, top + box_height), size, size, (0, 0))


@dataclass(frozen=True, slots=True)
class Contain:
    """Exactly `width` x `height`: the picture inside, never enlarged, on a `background`."""

    width: int
    height: int
    _: KW_ONLY
    background: str = "#ffffff"

    def __post_init__(self) -> None:
        _sides(self)
        object.__setattr__(self, "background", colour(self.background, "background"))

    def place(self, source: Size) -> Placed:
        """Return how a picture of `source` pixels is resized and centred."""
        box, size, _, _ = Fit(self.width, self.height).place(source)
        return Placed(
            box, size, (self.width, self.height), ((self.width - size[0]) // 2, (self.height - size[1]) // 2)
        )


Geometry: TypeAlias = "Fit | Cover | Contain"


def whole_picture(source: Size) -> Placed:
    """Return the placement that changes nothing."""
    return Placed((0.0, 0.0, float(source[0]), float(source[1])), source, source, (0, 0))


def _sides(geometry: Geometry) -> None:
    whole(geometry.width, "width", 1, _LARGEST)
    whole(geometry.height, "height", 1, _LARGEST)


def _scaled(size: Size, scale: float) -> Size:
    width, height = size[0] * scale, size[1] * scale
    # A hair's breadth below 1 is the rounding of the division that made `scale`.
    if min(width, height) < 1 - 1e-9:
        raise AspectRejected("aspect", 1, min(width, height))
    return round(width), round(height)


def _point(value: object) -> tuple[float, float]:
    given = value
    parts = cast("tuple[object, ...]", value) if isinstance(value, (tuple, list)) else ()
    fractions = [float(part) + 0.0 for part in parts if _is_fraction(part)]
    if len(parts) != 2 or len(fractions) != 2:  # noqa: PLR2004
        raise ConfigurationError("focal", given, "as two fractions (x, y) from 0 to 1")
    return fractions[0], fractions[1]


def _is_fraction(part: object) -> TypeGuard[float]:
    # Written so that NaN fails, too.
    return isinstance(part, (int, float)) and not isinstance(part, bool) and 0 <= part <= 1
