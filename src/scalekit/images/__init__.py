"""Image uploads made small and safe: limits from the header, one tuned decode, a fresh encode.

`ImageCompressor` and `AsyncImageCompressor` run an `ImageRecipe` on a backend (Pillow by default).
`probe` reads a header without decoding, `plan` says what a recipe would do, `negotiate` answers an
Accept header; none of the three needs a third-party package.
"""

from scalekit._lazy import exports

__all__ = [
    "AsyncImageCompressor",
    "Avif",
    "CompressedImage",
    "ImageBackend",
    "ImageCompressor",
    "ImageEvent",
    "ImageInfo",
    "ImageLimits",
    "ImageRecipe",
    "Jpeg",
    "Plan",
    "Png",
    "Rendered",
    "Report",
    "Webp",
    "negotiate",
    "plan",
    "probe",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.images._async import AsyncImageCompressor as AsyncImageCompressor
    from scalekit.images._events import ImageEvent as ImageEvent
    from scalekit.images._formats import Avif as Avif
    from scalekit.images._formats import Jpeg as Jpeg
    from scalekit.images._formats import Png as Png
    from scalekit.images._formats import Webp as Webp
    from scalekit.images._info import ImageInfo as ImageInfo
    from scalekit.images._limits import ImageLimits as ImageLimits
    from scalekit.images._negotiate import negotiate as negotiate
    from scalekit.images._plan import Plan as Plan
    from scalekit.images._plan import plan as plan
    from scalekit.images._probe import probe as probe
    from scalekit.images._recipe import ImageRecipe as ImageRecipe
    from scalekit.images._result import CompressedImage as CompressedImage
    from scalekit.images._result import Report as Report
    from scalekit.images._sync import ImageCompressor as ImageCompressor
    from scalekit.images.protocols import ImageBackend as ImageBackend
    from scalekit.images.protocols import Rendered as Rendered
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncImageCompressor"],
            "_events": ["ImageEvent"],
            "_formats": ["Avif", "Jpeg", "Png", "Webp"],
            "_info": ["ImageInfo"],
            "_limits": ["ImageLimits"],
            "_negotiate": ["negotiate"],
            "_plan": ["Plan", "plan"],
            "_probe": ["probe"],
            "_recipe": ["ImageRecipe"],
            "_result": ["CompressedImage", "Report"],
            "_sync": ["ImageCompressor"],
            "pillow": [],
            "protocols": ["ImageBackend", "Rendered"],
        },
    )
