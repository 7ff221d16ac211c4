"""`plan`: everything a backend has to do to an image, decided from its header.

Pure, so that tests compare plans without pixels, two backends given one plan must agree, and the
memory it takes is known before a byte of it is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError, ImageRejected
from scalekit.images._formats import Jpeg
from scalekit.images._geometry import Contain, whole_picture
from scalekit.images._info import ImageInfo
from scalekit.images._recipe import ImageRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalekit.images._formats import Encoding
    from scalekit.images._geometry import Box, Placed, Size

_WHITE = "#ffffff"
_FIRST_TURNED = 5  # orientations 5 to 8 swap width and height

# Peaks of Pillow, measured on 16 megapixels, in bytes per pixel: without and with alpha when reading,
# on top of the pixels themselves when writing. A paletted picture and its RGB are in memory together,
# resizing makes a premultiplied copy of RGBA, and the WebP reader keeps the canvases of an animation.
_DECODE = {"png": (5, 9), "gif": (5, 9), "webp": (16, 19), "avif": (10, 13)}
_ENCODE = {"png": 2, "jpeg": 4, "webp": 8, "avif": 25}
_PIXEL = 4  # RGB and RGBA alike
_COEFFICIENT = 2
_FINISHING = 3  # copies while turning, converting, composing: the old, the new and a ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, in the order in which a backend takes them.

    Decode at 1/`shrink`; scale `box` (in undiminished, stored pixels) to `size` (as stored); turn by
    `orientation`; convert a profile's `colour` to sRGB; put transparent parts on `ground`; centre on a
    `canvas`; encode.
    """

    source: ImageInfo
    shrink: int
    """1, 2, 4 or 8: the JPEG decoder computes only every n-th pixel; the result is still >= `size`."""
    box: Box
    size: Size
    orientation: int
    colour: bool
    """Whether a colour profile is to be applied."""
    ground: str | None
    """Opaque colour below transparent parts; None keeps alpha."""
    canvas: Size
    """Width and height of the output, upright."""
    offset: Size
    """Where the picture lies on the canvas."""
    background: str
    """Colour of what the picture leaves free on the canvas."""
    encoding: Encoding
    memory: int
    """Estimated peak in bytes, the encoded input included."""
    reasons: tuple[str, ...]
    """Why each step is there, in words."""

    @property
    def unchanged(self) -> bool:
        """Whether the output has the input's format and pixels, save for encoding loss and colours."""
        source = self.source
        return (
            self.encoding.format == source.format
            and self.canvas == (source.width, source.height) == self.size
            and self.orientation == 1
            and not (source.has_alpha and self.ground)
            and source.frames == 1
        )

    def explain(self) -> str:
        """Return the plan as text, one step per line."""
        return "\n".join((*self.reasons, f"estimated peak memory: {self.memory / 2**20:.1f} MiB"))


def plan(info: ImageInfo, recipe: ImageRecipe) -> Plan:
    """Return what `recipe` means for the image that `info` describes.

    Raises `ImageRejected` ("aspect") when a side of the result would be thinner than one pixel,
    ("side") when the output format cannot be that large. `info` must have passed `ImageLimits`.
    Raises `ConfigurationError` for arguments of other types.
    """
    if not isinstance(info, ImageInfo):
        raise ConfigurationError("info", info, "as an ImageInfo, which probe() returns")
    if not isinstance(recipe, ImageRecipe):
        raise ConfigurationError("recipe", recipe, "as an ImageRecipe")
    placed = whole_picture(info.upright_size)
    if recipe.geometry is not None:
        placed = recipe.geometry.place(info.upright_size)
    encoding = recipe.encoding
    if max(placed.canvas) > encoding.max_side:
        raise ImageRejected("side", encoding.max_side, max(placed.canvas))
    size = placed.size if info.orientation < _FIRST_TURNED else (placed.size[1], placed.size[0])
    box = _stored(placed.box, info)
    shrink = _shrink(info, box, size)
    background = recipe.geometry.background if isinstance(recipe.geometry, Contain) else None
    ground = recipe.ground or background or (None if encoding.alpha else _WHITE)
    return Plan(
        source=info,
        shrink=shrink,
        box=box,
        size=size,
        orientation=info.orientation,
        colour=info.icc,
        ground=ground,
        canvas=placed.canvas,
        offset=placed.offset,
        background=background or _WHITE,
        encoding=encoding,
        memory=_memory(info, shrink, placed, encoding),
        reasons=tuple(_reasons(info, recipe, placed, shrink=shrink, ground=ground)),
    )


def _stored(box: Box, info: ImageInfo) -> Box:
    """Return `box` of the upright picture in the coordinates of the stored one."""
    left, top, right, bottom = box
    width, height = float(info.width), float(info.height)
    return {
        1: (left, top, right, bottom),
        2: (width - right, top, width - left, bottom),
        3: (width - right, height - bottom, width - left, height - top),
        4: (left, height - bottom, right, height - top),
        5: (top, left, bottom, right),
        6: (top, height - right, bottom, height - left),
        7: (width - bottom, height - right, width - top, height - left),
        8: (width - bottom, left, width - top, right),
    }[info.orientation]


def _shrink(info: ImageInfo, box: Box, size: Size) -> int:
    """Return the largest factor that still decodes at least as many pixels as are wanted.

    Twice the target, which Pillow's thumbnail() and libvips ask for, costs 2.5 times the time and
    gains 0.2 to 2.4 points of SSIMULACRA2.
    """
    if info.format != Jpeg.format:
        return 1
    scale = min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
    return next((factor for factor in (8, 4, 2) if factor <= scale), 1)


def _memory(info: ImageInfo, shrink: int, placed: Placed, encoding: Encoding) -> int:
    decoded = -(-info.width // shrink) * -(-info.height // shrink)
    if info.format == Jpeg.format:
        reading = decoded * _PIXEL + (_coefficients(info) if info.progressive else 0)
    else:
        reading = decoded * _DECODE[info.format][info.has_alpha]
    # The resampler goes across first: it keeps the source, a narrow copy as high as it, and the result.
    across, down = placed.size if info.orientation < _FIRST_TURNED else placed.size[::-1]
    narrow = min(across * -(-info.height // shrink), decoded)
    resizing = (decoded + narrow + across * down) * _PIXEL
    result = placed.canvas[0] * placed.canvas[1]
    writing = result * max(_PIXEL + _ENCODE[encoding.format], _FINISHING * _PIXEL)
    return info.input_bytes + max(reading, resizing if placed.size != info.upright_size else 0, writing)


def _coefficients(info: ImageInfo) -> int:
    """Return the bytes of all coefficients; shrinking on load does not diminish them (measured, exact)."""
    widest = max((h for h, _ in info.sampling), default=1)
    highest = max((v for _, v in info.sampling), default=1)
    return sum(_COEFFICIENT * info.pixels * h * v // (widest * highest) for h, v in info.sampling)


def _reasons(
    info: ImageInfo, recipe: ImageRecipe, placed: Placed, *, shrink: int, ground: str | None
) -> Iterator[str]:
    upright = info.upright_size
    wanted = f"{placed.size[0]}x{placed.size[1]}"
    why = f" at 1/{shrink}: still at least the {wanted} wanted" if shrink > 1 else ""
    yield f"decode {info.format} {info.width}x{info.height}{why}"
    if info.frames > 1:
        yield f"take the first of {info.frames} frames"
    left, top, right, bottom = placed.box
    if (right - left, bottom - top) != upright:
        yield f"cut to {right - left:g}x{bottom - top:g} at {left:g},{top:g}"
    if placed.size != upright:
        yield f"resize to {wanted}"
    if info.orientation != 1:
        yield f"turn upright: orientation {info.orientation}"
    if info.icc:
        yield "convert the embedded colour profile to sRGB, after the resize: fewer pixels"
    if info.has_alpha and ground:
        yield f"put transparent parts on {ground}"
    if placed.canvas != placed.size:
        yield f"centre on a canvas of {placed.canvas[0]}x{placed.canvas[1]}"
    yield f"encode as {recipe.encoding}, without metadata"
