"""The header walk of AVIF and HEIF (ISO/IEC 14496-12 boxes, 23008-12 items, AV1 Image File Format)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scalekit.images._boxes import boxes, children, inside, items
from scalekit.images._bytes import big, steps
from scalekit.images._info import ImageInfo
from scalekit.images._probe_av1 import coded_size

if TYPE_CHECKING:
    from scalekit.images._boxes import Box

_AVIF = frozenset({b"avif", b"avis"})
_TOP_LEVEL = frozenset(
    {
        b"ftyp",
        b"meta",
        b"mdat",
        b"moov",
        b"moof",
        b"mfra",
        b"free",
        b"skip",
        b"uuid",
        b"idat",
        b"sidx",
        b"styp",
    }
)
_STRUCTURE = frozenset({b"ftyp", b"meta", b"mdat", b"moov"})
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
# (quarter turns anticlockwise, mirror axis or None) -> Exif orientation; the turn comes first (HEIF 6.5.12).
_TURNS: dict[tuple[int, int | None], int] = {
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (0, 1): 2,
    (1, 0): 5,
    (1, 1): 7,
    (2, 0): 2,
    (2, 1): 4,
    (3, 0): 7,
    (3, 1): 5,
}


def probe_avif(data: bytes) -> ImageInfo:
    """Walk the boxes to the primary item's properties, every item's own stream, and the tracks.

    Width and height are the largest that the container or any AV1 stream in it announces.
    """
    brands = {data[at : at + 4] for at in (8, *range(16, min(big(data, 0, 4), 256), 4))}
    position = metadata = 0
    overrun = False
    still = _Still()
    frames, sizes = 1, [(0, 0)]
    for box in boxes(data, 0, len(data)):
        if box.kind not in _TOP_LEVEL:
            break
        overrun = box.end > len(data)
        position = min(box.end, len(data))
        if box.kind == b"meta":
            still = _primary(data, box) or still
            hidden, coded = _contents(data, box)
            metadata += hidden
            sizes.append(coded)
        elif box.kind == b"moov":
            frames, *tracks = _sequence(data, box)
            sizes.extend(tracks)
        metadata += 0 if box.kind in _STRUCTURE else position - box.body + 8
    sizes.append(still.size)
    return ImageInfo(
        "avif" if brands & _AVIF else "heif",
        max(width for width, _ in sizes),
        max(height for _, height in sizes),
        frames=frames,
        orientation=_TURNS[still.turns, still.mirror],
        bit_depth=still.bit_depth,
        has_alpha=still.has_alpha,
        icc=still.icc,
        metadata_bytes=metadata,
        trailing_bytes=len(data) - position,
        truncated=overrun or b"mdat" not in data,
        input_bytes=len(data),
    )


class _Still(NamedTuple):
    size: tuple[int, int] = (0, 0)
    turns: int = 0
    mirror: int | None = None
    bit_depth: int = 8
    has_alpha: bool = False
    icc: bool = False


def _primary(data: bytes, meta: Box) -> _Still | None:
    container = inside(data, meta, b"iprp", b"ipco")
    if container is None:
        return None
    properties = list(children(data, container))
    size = (0, 0)
    turns, mirror, bit_depth, icc = 0, None, 8, False
    for index in _associations(data, meta):
        if not 1 <= index <= len(properties):
            continue
        kind, body, _ = properties[index - 1]
        if kind == b"ispe":
            size = big(data, body + 4, 4), big(data, body + 8, 4)
        elif kind == b"irot":
            turns = big(data, body, 1) & 3
        elif kind == b"imir":
            mirror = big(data, body, 1) & 1
        elif kind == b"pixi":
            bit_depth = big(data, body + 5, 1) or 8
        elif kind == b"colr":
            icc = icc or data[body : body + 4] in {b"prof", b"rICC"}
    has_alpha = any(p.kind == b"auxC" and data.startswith(_ALPHA, p.body + 4) for p in properties)
    return _Still(size, turns, mirror, bit_depth, has_alpha, icc)


def _associations(data: bytes, meta: Box) -> list[int]:
    """Return the property indices (from 1) of the primary item."""
    primary_box, box = inside(data, meta, b"pitm"), inside(data, meta, b"iprp", b"ipma")
    if primary_box is None or box is None:
        return []
    primary = big(data, primary_box.body + 4, 4 if big(data, primary_box.body, 1) else 2)
    id_size = 4 if big(data, box.body, 1) else 2
    wide = big(data, box.body + 3, 1) & 1
    at = box.body + 8
    for _ in range(min(big(data, box.body + 4, 4), steps(len(data)))):
        if at >= min(box.end, len(data)):
            break
        item, count = big(data, at, id_size), big(data, at + id_size, 1)
        at += id_size + 1
        if item == primary:
            if wide:
                return [big(data, at + 2 * i, 2) & 0x7FFF for i in range(count)]
            return [big(data, at + i, 1) & 0x7F for i in range(count)]
        at += count * (2 if wide else 1)
    return []


def _contents(data: bytes, meta: Box) -> tuple[int, tuple[int, int]]:
    """Return the bytes of metadata among the items, and the largest picture that a stream announces."""
    metadata = width = height = 0
    unread = len(data)  # pieces may overlap: read no byte more often than once on average
    for item in items(data, meta):
        length = sum(max(0, min(end, len(data)) - start) for start, end in item.pieces)
        if item.kind in {b"Exif", b"mime"}:
            metadata += length
        elif item.kind == b"av01":
            if length > unread:
                return len(data) + metadata, (width, height)
            unread -= length
            wide, high = coded_size(b"".join(data[start:end] for start, end in item.pieces))
            width, height = max(width, wide), max(height, high)
    return metadata, (width, height)


def _sequence(data: bytes, movie: Box) -> tuple[int, *tuple[tuple[int, int], ...]]:
    """Return the most samples of any track, and the sizes that the tracks and their first frames announce."""
    frames = 1
    sizes: list[tuple[int, int]] = []
    for track in children(data, movie):
        table = inside(data, track, b"mdia", b"minf", b"stbl")
        header = inside(data, track, b"tkhd")
        if table is None or header is None:
            continue
        # Width and height are the last two fields, as 16.16 fixed point (14496-12, 8.3.2).
        sizes.append((big(data, header.end - 8, 4) >> 16, big(data, header.end - 4, 4) >> 16))
        lengths = inside(data, table, b"stsz")
        offsets, wide = inside(data, table, b"stco"), inside(data, table, b"co64")
        if lengths is None:
            continue
        frames = max(frames, big(data, lengths.body + 8, 4))
        length = big(data, lengths.body + 4, 4) or big(data, lengths.body + 12, 4)
        place = (offsets, 4) if offsets is not None else (wide, 8)
        if place[0] is not None:
            start = big(data, place[0].body + 8, place[1])
            sizes.append(coded_size(data[start : start + length]))
    return frames, *sizes
