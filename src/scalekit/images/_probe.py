"""`probe`: the header walk that decides whether a decoder may see the bytes at all.

Pure Python, total (any bytes give an answer, nothing raises) and linear: each walk takes at most
`steps(len(data))` steps, and searches advance over every byte once. What a walk leaves unread
when its steps run out counts as metadata of a truncated file, so the limits refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError
from scalekit.images._info import ImageInfo
from scalekit.images._probe_avif import probe_avif
from scalekit.images._probe_gif import probe_gif
from scalekit.images._probe_jpeg import probe_jpeg
from scalekit.images._probe_png import probe_png
from scalekit.images._probe_webp import probe_webp

if TYPE_CHECKING:
    from collections.abc import Callable


def probe(data: bytes | bytearray | memoryview) -> ImageInfo:
    """Return what the header of an encoded image says; no pixel is decoded.

    Never raises on any bytes: what is not a JPEG, PNG, WebP, GIF, AVIF or HEIF has the format
    "unknown". About 1 ms per MB. Raises `ConfigurationError` when `data` is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ConfigurationError("data", data, "as bytes")
    encoded = bytes(data)
    walk = _walker(encoded)
    return ImageInfo("unknown", 0, 0, input_bytes=len(encoded)) if walk is None else walk(encoded)


def _walker(data: bytes) -> Callable[[bytes], ImageInfo] | None:
    if data.startswith(b"\xff\xd8\xff"):
        return probe_jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return probe_png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return probe_webp
    if data.startswith((b"GIF87a", b"GIF89a")):
        return probe_gif
    if data[4:8] == b"ftyp":
        return probe_avif
    return None
