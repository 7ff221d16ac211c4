"""CPU time of three ways to fit a JPEG photograph into 1920x1080: naive, `thumbnail()`, scalekit.

    python benchmarks/images/jpeg.py [photo.jpg ...]

Prints the median CPU seconds of each, the ratio to the naive chain, and the output's size. All three
encode as JPEG quality 80; scalekit's limits, header walk, progressive scan and hash are included.
"""

from __future__ import annotations

import statistics
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from scalekit.images import ImageCompressor, ImageRecipe, Jpeg, probe

if TYPE_CHECKING:
    from collections.abc import Callable

PHOTO = Path(__file__).parents[2] / "examples" / "data" / "photo-16mp.jpg"
ROUNDS = 7
BOX = (1920, 1080)


def naive(data: bytes) -> bytes:
    image = Image.open(BytesIO(data)).convert("RGB")
    scale = min(1, BOX[0] / image.width, BOX[1] / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    return encoded(image.resize(size, Image.Resampling.LANCZOS))


def thumbnail(data: bytes) -> bytes:
    image = Image.open(BytesIO(data))
    image.thumbnail(BOX, Image.Resampling.LANCZOS)
    return encoded(image.convert("RGB"))


def encoded(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def tuned(encoding: Jpeg) -> Callable[[bytes], bytes]:
    compressor = ImageCompressor(ImageRecipe().fit(*BOX).encode(encoding))
    return lambda data: compressor.compress(data).data


CONTENDERS = {
    "naive": naive,
    "thumbnail()": thumbnail,
    "scalekit": tuned(Jpeg(80)),
    "scalekit, baseline": tuned(Jpeg(80, progressive=False)),
}


def main() -> None:
    for path in [Path(name) for name in sys.argv[1:]] or [PHOTO]:
        data = path.read_bytes()
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        sizes: dict[str, int] = {}
        # In turns, so that a busy spell of the machine falls on all of them.
        for _ in range(ROUNDS):
            for name, run in CONTENDERS.items():
                started = time.process_time()
                sizes[name] = len(run(data))
                seconds[name].append(time.process_time() - started)
        started = time.process_time()
        info = probe(data)
        walk = 1e3 * (time.process_time() - started)
        megabytes = len(data) / 1e6
        print(f"{path.name}: {info.width}x{info.height}, {megabytes:.1f} MB, header walk {walk:.1f} ms")
        base = statistics.median(seconds["naive"])
        for name, times in seconds.items():
            median = statistics.median(times)
            ratio, kilobytes = median / base, sizes[name] / 1e3
            print(f"  {name:20} {1e3 * median:6.0f} ms  {ratio:5.2f} x naive  {kilobytes:6.0f} kB")


if __name__ == "__main__":
    main()
