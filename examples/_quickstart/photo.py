"""A photograph of 16 megapixels made fit for a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from _quickstart.step import seconds
from scalekit.images import ImageCompressor, ImageRecipe, probe

if TYPE_CHECKING:
    from _quickstart.step import Step
    from scalekit.images import CompressedImage

PHOTO = Path(__file__).parents[1] / "data" / "photo-16mp.jpg"
# Exif that says "turn me by 90 degrees", as a phone held upright writes it.
HELD_UPRIGHT = bytes.fromhex("ffe10022 457869660000 49492a0008000000 0100 1201030001000000 06000000 00000000")


def photo(step: Step) -> None:
    upload = PHOTO.read_bytes()
    images: list[CompressedImage] = []
    with ImageCompressor(ImageRecipe.web()) as compressor:
        spent = seconds(lambda: images.append(compressor.compress(upload)))
        turned = compressor.compress(upload[:2] + HELD_UPRIGHT + upload[2:])

    image, before, after = images[0], probe(upload), probe(images[0].data)
    size = f"{before.width} x {before.height} {before.format}, {before.input_bytes:,} bytes"
    step.show("uploaded", f"{before.pixels / 1e6:.1f} MP", size, input_bytes=before.input_bytes)
    size = f"{image.width} x {image.height} {image.format}, {image.output_bytes:,} bytes: {image.ratio:.0%}"
    step.show("compressed", f"{spent * 1e3:.0f} ms", size, ms=spent * 1e3, output_bytes=image.output_bytes)
    shape = (after.width / after.height) / (before.width / before.height)
    step.check(
        "WebP inside 1920 x 1080",
        holds=after.format == "webp" and image.width <= 1920 and image.height <= 1080,
    )
    step.check("not distorted", holds=abs(shape - 1) < 0.01)
    step.check("upright", holds=turned.width < turned.height == 1080 and probe(turned.data).orientation == 1)
    step.check("smaller", holds=image.output_bytes < len(upload))
    step.check("no metadata", holds=after.metadata_bytes == after.trailing_bytes == 0)
