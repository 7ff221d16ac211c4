"""The header walk of WebP (RFC 9649, sections 2 and 3)."""

from __future__ import annotations

from scalekit.images._bytes import big, little, steps
from scalekit.images._info import ImageInfo
from scalekit.images._probe_exif import exif_orientation

_ALPHA_CHUNK = b"ALPH"  # codespell:ignore
_PICTURE = frozenset({b"VP8 ", b"VP8L", b"VP8X", _ALPHA_CHUNK, b"ANIM", b"ANMF"})
_ALPHA_FLAG = 0x10


def probe_webp(data: bytes) -> ImageInfo:
    """Walk every chunk of the RIFF container."""
    declared = 8 + little(data, 4, 4)
    end = min(declared + (declared & 1), len(data))
    size: tuple[int, int] | None = None
    has_alpha = icc = False
    frames, metadata, orientation = 0, 0, 1
    position = 12
    for _ in range(steps(len(data))):
        if position + 8 > end:
            position = end
            break
        kind, length, body = data[position : position + 4], little(data, position + 4, 4), position + 8
        position = body + length + (length & 1)
        if kind == b"VP8X":
            size = size or (1 + little(data, body + 4, 3), 1 + little(data, body + 7, 3))
            has_alpha = has_alpha or bool(big(data, body, 1) & _ALPHA_FLAG)
        elif kind == b"VP8L":
            bits = little(data, body + 1, 4)
            size = size or (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
            has_alpha = has_alpha or bool(bits >> 28 & 1)
        elif kind == b"VP8 ":
            size = size or (little(data, body + 6, 2) & 0x3FFF, little(data, body + 8, 2) & 0x3FFF)
        elif kind == b"ANMF":
            frames += 1
        elif kind == _ALPHA_CHUNK:
            has_alpha = True
        elif kind not in _PICTURE:
            metadata += length + 8
            icc = icc or kind == b"ICCP"
            if kind == b"EXIF":
                orientation = exif_orientation(data[body : body + length])
    width, height = size or (0, 0)
    return ImageInfo(
        "webp",
        width,
        height,
        frames=max(1, frames),
        orientation=orientation,
        has_alpha=has_alpha,
        icc=icc,
        metadata_bytes=metadata + max(0, end - position),
        trailing_bytes=len(data) - end,
        truncated=declared > len(data) or position != end,
        input_bytes=len(data),
    )
