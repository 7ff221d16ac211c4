"""The header walk of PNG and APNG (W3C PNG, third edition, sections 5 and 11)."""

from __future__ import annotations

from scalekit.images._bytes import big, steps
from scalekit.images._info import ImageInfo
from scalekit.images._probe_exif import exif_orientation

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"IEND"})
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_ALPHA_COLOUR_TYPES = frozenset({4, 6})


def probe_png(data: bytes) -> ImageInfo:
    """Walk every chunk up to IEND."""
    header = data[16:29] if data[12:16] == b"IHDR" else b""
    has_alpha = big(header, 9, 1) in _ALPHA_COLOUR_TYPES
    frames, controls, metadata, orientation = 1, 0, 0, 1
    icc = comment = False
    end: int | None = None
    position = 8
    for _ in range(steps(len(data))):
        if position + 12 > len(data):
            position = len(data)
            break
        size, kind = big(data, position, 4), data[position + 4 : position + 8]
        body, position = position + 8, position + 12 + size
        if kind == b"IEND":
            end = min(position, len(data))
            break
        if kind == b"acTL":
            frames = big(data, body, 4)
        elif kind == b"fcTL":
            controls += 1
        elif kind == b"tRNS":
            has_alpha = True
        elif kind not in _PICTURE:
            metadata += size + 12
            icc = icc or kind == b"iCCP"
            comment = comment or kind in _TEXT
            if kind == b"eXIf":
                orientation = exif_orientation(data[body : body + size])
    return ImageInfo(
        "png",
        big(header, 0, 4),
        big(header, 4, 4),
        frames=max(1, frames, controls),
        orientation=orientation,
        bit_depth=big(header, 8, 1) or 8,
        has_alpha=has_alpha,
        icc=icc,
        comment=comment,
        metadata_bytes=metadata + max(0, len(data) - position if end is None else 0),
        trailing_bytes=0 if end is None else len(data) - end,
        truncated=end is None,
        input_bytes=len(data),
    )
