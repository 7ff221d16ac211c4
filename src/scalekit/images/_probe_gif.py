"""The header walk of GIF (GIF89a specification, appendix B)."""

from __future__ import annotations

import re

from scalekit.images._bytes import big, little, steps
from scalekit.images._info import ImageInfo

_BLOCK = re.compile(rb"[!,;]")  # decoders skip what stands between two blocks, so the walk does, too
_EXTENSION, _IMAGE = b"!", b","
_GRAPHIC_CONTROL, _COMMENT = 0xF9, 0xFE
_HAS_TABLE = 0x80


def probe_gif(data: bytes) -> ImageInfo:
    """Walk every block up to the trailer."""
    width, height = little(data, 6, 2), little(data, 8, 2)
    frames = metadata = 0
    has_alpha = comment = False
    end: int | None = None
    position = 13 + _table(big(data, 10, 1))
    budget = steps(len(data))
    while budget > 0:
        found = _BLOCK.search(data, position)
        if found is None:
            position = len(data)
            break
        budget -= 1
        start, kind = found.start(), found.group()
        if kind == _IMAGE:
            if not frames:
                # A first frame that sticks out enlarges the screen (Pillow and browsers agree).
                width = max(width, little(data, start + 1, 2) + little(data, start + 5, 2))
                height = max(height, little(data, start + 3, 2) + little(data, start + 7, 2))
            frames += 1
            body = start + 11 + _table(big(data, start + 9, 1))
            position, budget = _sub_blocks(data, body, budget)
        elif kind == _EXTENSION:
            label = big(data, start + 1, 1)
            has_alpha = has_alpha or (label == _GRAPHIC_CONTROL and bool(big(data, start + 3, 1) & 1))
            comment = comment or label == _COMMENT
            position, budget = _sub_blocks(data, start + 2, budget)
            metadata += 0 if label == _GRAPHIC_CONTROL else position - start
        else:
            end = start + 1
            break
    return ImageInfo(
        "gif",
        width,
        height,
        frames=max(1, frames),
        has_alpha=has_alpha,
        comment=comment,
        metadata_bytes=metadata + max(0, len(data) - position if end is None else 0),
        trailing_bytes=0 if end is None else len(data) - end,
        truncated=end is None or frames == 0,
        input_bytes=len(data),
    )


def _table(flags: int) -> int:
    """Return the bytes of the colour table that `flags` announce."""
    return 6 << (flags & 7) if flags & _HAS_TABLE else 0


def _sub_blocks(data: bytes, position: int, budget: int) -> tuple[int, int]:
    """Skip length-prefixed blocks up to the empty one; return the position after it and the steps left."""
    while budget > 0 and position < len(data):
        budget -= 1
        length = data[position]
        position += 1 + length
        if length == 0:
            break
    return min(position, len(data)), budget
