"""The Pillow backend: JPEG decoded straight to the size that is needed, then one LANCZOS pass.

What it does not do: touch Pillow's process-wide settings (`MAX_IMAGE_PIXELS`,
`LOAD_TRUNCATED_IMAGES`, `MAXBLOCK`, warning filters), let Pillow guess the format (it gets a list
of one), or hand on anything of the input's `info` (Pillow writes a JPEG or GIF comment and a PNG,
WebP or AVIF profile from there unasked).

Pillow's own bomb check stays in force behind ours. `Image.open` compares width x height with the
application's `MAX_IMAGE_PIXELS` (89,478,485 unless changed): above it a `DecompressionBombWarning`
is issued, above twice that a `DecompressionBombError` is raised, always from the header and before
any draft. The default limits lie below, so neither happens; whoever raises `max_pixels` beyond, or
lowers Pillow's setting, gets `ImageRejected("pixels")` for the error, and for the warning where
warnings are errors.
"""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from scalekit._extras import require
from scalekit.errors import BackendError, ConfigurationError, ImageBroken, ImageRejected
from scalekit.images._formats import Avif, Jpeg, Webp
from scalekit.images._refusal import FormatRejected

if TYPE_CHECKING:
    from PIL import Image as PILImage

    from scalekit.images._formats import Encoding
    from scalekit.images._plan import Plan
    from scalekit.images._recipe import ImageRecipe

    Pixels = PILImage.Image

_SIXTEEN_TO_EIGHT = 1 / 257  # 65535 becomes 255 exactly
_OPAQUE = (255, 255)
_CODECS = {"jpeg": "jpg", "png": "zlib", "webp": "webp", "avif": "avif"}
_LIBRARIES = {"jpeg": "libjpeg_turbo", "png": "zlib_ng"}  # whose versions say more than their interface's
_REMEDY = {"avif": "Avif() needs Pillow >= 11.3: pip install 'pillow>=11.3'"}


class PillowBackend:
    """Renders with Pillow (10.3 or later); `version` names it and its codecs.

    Safe to share between threads: Pillow releases the GIL while it decodes, resizes and encodes.
    Raises `MissingExtra` when Pillow is not installed.
    """

    def __init__(self) -> None:
        require("PIL.Image", extra="images", needed_by="PillowBackend")
        from PIL import __version__  # noqa: PLC0415  # Pillow is there only after require()

        self._codecs = _codecs()
        self.version: Final = (
            f"pillow {__version__} ({', '.join(f'{k} {v}' for k, v in self._codecs.items())})"
        )

    def check(self, recipe: ImageRecipe, /) -> None:
        """Raise `ConfigurationError` when this Pillow was built without the recipe's encoder."""
        wanted = recipe.encoding.format
        if wanted not in self._codecs:
            remedy = _REMEDY.get(wanted, "a build of Pillow with that codec")
            raise ConfigurationError(
                "encoding", recipe.encoding, f"that the installed Pillow can write; {remedy}"
            )

    def render(self, plan: Plan, data: bytes, /) -> _PillowRendered:
        """Decode `data` and do the steps of `plan`."""
        if plan.source.format != "gif" and plan.source.format not in self._codecs:
            raise FormatRejected("format", tuple(sorted({*self._codecs, "gif"})), plan.source.format)
        try:
            return _PillowRendered(_render(plan, data))
        except (ImageBroken, ImageRejected):
            raise
        except MemoryError as error:
            raise BackendError("pillow", "render", "out of memory") from error
        # Pillow's parsers raise whatever Python does on bad input: struct.error, EOFError, KeyError, ...
        # Its words name objects and addresses; ours may go to a client, so its own are only the cause.
        except Exception as error:
            raise ImageBroken(f"the {plan.source.format} image cannot be decoded") from error


class _PillowRendered:
    """The rendered pixels, ready to be encoded."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self._pixels.size

    def encode(self, encoding: Encoding, /) -> bytes:
        """Return the pixels as a file."""
        pixels, settings = self._pixels, {}
        match encoding:
            case Jpeg():
                settings = {
                    "quality": encoding.quality,
                    "progressive": encoding.progressive,
                    "optimize": True,
                }
            case Webp():
                settings = {"quality": encoding.quality, "lossless": encoding.lossless, "method": 4}
                pixels = self._colours
            case Avif():
                settings = {"quality": encoding.quality, "speed": encoding.speed}
                pixels = self._colours
            case _:
                pass
        out = BytesIO()
        try:
            pixels.save(out, encoding.format.upper(), **settings)
        except MemoryError as error:
            raise BackendError("pillow", "encode", "out of memory") from error
        except (OSError, ValueError) as error:
            raise BackendError("pillow", "encode", str(error)) from error
        return out.getvalue()

    @cached_property
    def _colours(self) -> Pixels:
        """The pixels as formats without grey want them."""
        return self._pixels if self._pixels.mode in {"RGB", "RGBA"} else self._pixels.convert("RGB")


def _codecs() -> dict[str, str]:
    """Return the formats that this Pillow reads and writes, with the version of each codec."""
    from PIL import features  # noqa: PLC0415

    found: dict[str, str] = {}
    for name, codec in _CODECS.items():
        # Older releases warn about a codec that they have never heard of.
        known = codec in features.modules or codec in features.codecs
        if known and features.check(codec):
            library = _LIBRARIES.get(name)
            version = features.version(library) if library in features.features else None
            found[name] = str(version or features.version(codec))
    return found


def _render(plan: Plan, data: bytes) -> Pixels:
    pixels, profile = _decode(plan, data)
    pixels = _resized(pixels, plan)
    pixels = _upright(pixels, plan.orientation)
    pixels = _srgb(pixels, profile if plan.colour else None)
    pixels = _grounded(pixels, plan.ground)
    if pixels.size != plan.canvas:
        pixels = _on_canvas(pixels, plan)
    # A new image has an empty info; whatever is left in this one would be written by save().
    pixels.info = {}
    return pixels


def _decode(plan: Plan, data: bytes) -> tuple[Pixels, bytes | None]:
    """Return the first frame in a mode that can be resized, and its colour profile."""
    from PIL import Image  # noqa: PLC0415

    source = plan.source
    try:
        opened = Image.open(BytesIO(data), formats=[source.format.upper()])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejected(
            "pixels", f"Pillow's MAX_IMAGE_PIXELS ({Image.MAX_IMAGE_PIXELS})", source.pixels
        ) from error
    with opened:
        # A decoder that reads other dimensions than the walk did would work on what no limit has seen.
        if opened.size != (source.width, source.height):
            width, height = opened.size
            raise ImageBroken(
                f"the header says {source.width}x{source.height}, the decoder {width}x{height} pixels"
            )
        profile: bytes | None = opened.info.get("icc_profile")
        if plan.shrink > 1:
            opened.draft(opened.mode, (source.width // plan.shrink, source.height // plan.shrink))
        opened.load()
        return _resizable(opened, source.bit_depth), profile


def _resizable(pixels: Pixels, bit_depth: int) -> Pixels:
    """Return L, RGB, RGBA or CMYK: the modes whose values mean intensities, alpha included."""
    transparency: Any = pixels.info.get("transparency")
    if pixels.mode.startswith(("I", "F")):
        return _eight_bits(pixels, transparency)
    if pixels.mode == "RGB" and transparency is not None and bit_depth > 8:  # noqa: PLR2004
        # A 16-bit PNG names its transparent colour in 16 bits, and Pillow keeps the upper 8 of the pixels.
        pixels.info["transparency"] = tuple(value >> 8 for value in transparency)
    if transparency is not None or pixels.mode in {"LA", "La", "PA", "RGBa"}:
        return pixels.convert("RGBA")
    if pixels.mode in {"L", "RGB", "RGBA", "CMYK"}:
        # Not convert(): a copy of unchanged pixels costs 12 ms at 20 megapixels.
        return pixels
    return pixels.convert("L" if pixels.mode == "1" else "RGB")


def _eight_bits(pixels: Pixels, transparency: Any) -> Pixels:
    """Scale 16-bit grey down; convert("L") would clip everything above 255 to white."""
    from PIL import Image, ImageMath  # noqa: PLC0415

    wide = pixels.convert("I")
    scaled = wide.point(lambda value: value * _SIXTEEN_TO_EIGHT + 0.5)  # pyright: ignore[reportUnknownMemberType]
    grey = scaled.convert("L")
    if not isinstance(transparency, int):
        return grey
    alpha = ImageMath.lambda_eval(
        lambda args: args["convert"]((args["wide"] != transparency) * 255, "L"), wide=wide
    )
    return Image.merge("LA", (grey, alpha)).convert("RGBA")


def _resized(pixels: Pixels, plan: Plan) -> Pixels:
    from PIL import Image  # noqa: PLC0415

    across, down = pixels.width / plan.source.width, pixels.height / plan.source.height
    left, top, right, bottom = plan.box
    # Rounding may carry an edge out of the picture by 1e-12; Pillow's single precision takes it back.
    box = (left * across, top * down, right * across, bottom * down)
    if pixels.size == plan.size and box == (0.0, 0.0, float(pixels.width), float(pixels.height)):
        return pixels
    return pixels.resize(plan.size, Image.Resampling.LANCZOS, box=box)  # pyright: ignore[reportUnknownMemberType]


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    from PIL.Image import Transpose  # noqa: PLC0415

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return pixels if turn is None else pixels.transpose(turn)


def _srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Apply the embedded profile; one that is damaged or of another colour space counts as absent."""
    if profile:
        from PIL import ImageCms  # noqa: PLC0415

        try:
            converted = ImageCms.profileToProfile(
                pixels,
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
                outputMode="RGBA" if pixels.mode == "RGBA" else "RGB",
            )
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            converted = None
        if converted is not None:
            return converted.convert("L") if pixels.mode == "L" else converted
    return pixels.convert("RGB") if pixels.mode == "CMYK" else pixels


def _grounded(pixels: Pixels, ground: str | None) -> Pixels:
    """Compose alpha onto `ground`, or keep it with nothing hidden beneath."""
    from PIL import Image  # noqa: PLC0415

    if pixels.mode != "RGBA":
        return pixels
    alpha = pixels.getchannel("A")
    if alpha.getextrema() == _OPAQUE:
        return pixels.convert("RGB")
    if ground is not None:
        flat = Image.new("RGB", pixels.size, ground)
        flat.paste(pixels, mask=alpha)
        return flat
    # What was painted over with transparency stays in the file otherwise: anyone may uncover it.
    clear = Image.new("RGBA", pixels.size, (0, 0, 0, 0))
    visible = alpha.point([0] + 255 * [255])  # pyright: ignore[reportUnknownMemberType]
    return Image.composite(pixels, clear, visible)


def _on_canvas(pixels: Pixels, plan: Plan) -> Pixels:
    from PIL import Image  # noqa: PLC0415

    canvas = Image.new("RGB", plan.canvas, plan.background)
    canvas.paste(pixels, plan.offset)
    return canvas
