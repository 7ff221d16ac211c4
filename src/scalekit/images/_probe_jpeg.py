"""The header walk of JPEG (ITU-T T.81, annex B)."""

from __future__ import annotations

import re

from scalekit.images._bytes import big, steps
from scalekit.images._info import ImageInfo
from scalekit.images._probe_exif import exif_orientation

# FF 00 is a stuffed data byte, FF FF is fill, D0-D7 restart inside a scan: none of them ends it.
# One FF only: with "FF+" a run of n fill bytes would be searched n times.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
_METADATA = frozenset(range(0xE0, 0xF0)) | {_COMMENT}


def probe_jpeg(data: bytes) -> ImageInfo:
    """Walk every segment and the scans between them up to the end marker."""
    frame, frame_kind = b"", 0
    scans = metadata = 0
    orientation: int | None = None
    icc = comment = False
    end: int | None = None
    position = 2
    for _ in range(steps(len(data))):
        found = _MARKER.search(data, position)
        if found is None:
            position = len(data)
            break
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            end = position
            break
        size = max(2, big(data, position, 2))
        if marker in _FRAMES and not frame:
            frame, frame_kind = data[position : position + size], marker
        elif marker == _SCAN:
            scans += 1
        elif marker in _METADATA:
            metadata += size + 2
            comment = comment or marker == _COMMENT
            if marker == 0xE1 and data.startswith(b"Exif\0\0", position + 2) and orientation is None:  # noqa: PLR2004
                orientation = exif_orientation(data[position + 2 : position + size])
            icc = icc or (marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", position + 2))  # noqa: PLR2004
        position += size
    sampling = tuple(
        (max(1, factors >> 4), max(1, factors & 15))
        for factors in frame[9 : 9 + 3 * min(big(frame, 7, 1), 4) : 3]
    )
    return ImageInfo(
        "jpeg",
        big(frame, 5, 2),
        big(frame, 3, 2),
        orientation=orientation or 1,
        scans=scans,
        progressive=frame_kind in _PROGRESSIVE,
        sampling=sampling,
        bit_depth=big(frame, 2, 1) or 8,
        icc=icc,
        comment=comment,
        metadata_bytes=metadata + max(0, len(data) - position if end is None else 0),
        trailing_bytes=0 if end is None else len(data) - end,
        truncated=end is None,
        input_bytes=len(data),
    )
