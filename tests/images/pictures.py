"""Real encoded pictures, made with Pillow."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageDraw

PHOTO = Path(__file__).parents[2] / "examples" / "data" / "photo-16mp.jpg"


def encoded(image: Image.Image, name: str, **settings) -> bytes:
    out = BytesIO()
    image.save(out, name, **settings)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green, blue and grey quarters: any turn or cut shows."""
    image = Image.new("RGB", (width, height), (220, 20, 20))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=(20, 220, 20))
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=(20, 20, 220))
    draw.rectangle((width // 2, height // 2, width, height), fill=(128, 128, 128))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours a quarter in from top left, top right, bottom left, bottom right."""
    rgb = image.convert("RGB")
    width, height = rgb.size
    points = [(width // 4, height // 4), (3 * width // 4, height // 4), (width // 4, 3 * height // 4)]
    return [rgb.getpixel(point) for point in (*points, (3 * width // 4, 3 * height // 4))]


def near(one: tuple[int, ...], other: tuple[int, ...], within: int = 12) -> bool:
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def noise(width: int = 96, height: int = 64) -> Image.Image:
    """A picture with detail everywhere, the same in every run."""
    wave = Image.radial_gradient("L").resize((width, height))
    pattern = bytes((x * 37 ^ y * 91 ^ (x * y)) & 255 for y in range(height) for x in range(width))
    grain = Image.frombytes("L", (width, height), pattern)
    return Image.merge(
        "RGB", (wave, Image.blend(wave, grain, 0.3), wave.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    )


def linear_grey_profile() -> bytes:
    """A grey profile (ICC.1:2001-04, 6.3) with gamma 1: the middle of sRGB, 128, is 55 in it."""
    white = b"XYZ \0\0\0\0" + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 0x0100) + b"\0\0"
    start = 128 + 4 + 2 * 12
    table = struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", start, len(white))
    table += b"kTRC" + struct.pack(">II", start + len(white), len(curve))
    body = table + white + curve
    head = struct.pack(">II4s4s4s4s", 128 + len(body), 0, b"\2\x10\0\0", b"mntr", b"GRAY", b"XYZ ")
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + white[8:]
    return head.ljust(128, b"\0") + body


@cache
def swapped_profile() -> bytes:
    """A matrix profile whose red and green are exchanged: whoever ignores it is seen at once."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for index in range(count):
        at = 132 + 12 * index
        name = bytes(data[at : at + 4])
        data[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
    return bytes(data)
