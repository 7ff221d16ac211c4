"""The header walk of AVIF and HEIF (ISO/IEC 14496-12 boxes, 23008-12 items, AV1 Image File Format)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scalekit.images._bytes import big, steps
from scalekit.images._info import ImageInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class _Box(NamedTuple):
    kind: bytes
    body: int
    end: int


def probe_avif(data: bytes) -> ImageInfo:
    """Walk the boxes down to the primary item's properties, and to the tracks of an image sequence."""
    brands = {data[at : at + 4] for at in (8, *range(16, min(big(data, 0, 4), 256), 4))}
    position = metadata = 0
    overrun = False
    still: _Item | None = None
    frames, track_size = 1, (0, 0)
    for box in _boxes(data, 0, len(data)):
        if box.kind not in _TOP_LEVEL:
            break
        overrun = box.end > len(data)
        position = min(box.end, len(data))
        if box.kind == b"meta" and still is None:
            still = _primary(data, box)
        elif box.kind == b"moov":
            frames, track_size = _sequence(data, box)
        metadata += 0 if box.kind in _STRUCTURE else position - box.body + 8
    item = still or _Item()
    width, height = item.size or track_size
    return ImageInfo(
        "avif" if brands & _AVIF else "heif",
        width,
        height,
        frames=frames,
        orientation=_TURNS[item.turns, item.mirror],
        bit_depth=item.bit_depth,
        has_alpha=item.has_alpha,
        icc=item.icc,
        metadata_bytes=metadata,
        trailing_bytes=len(data) - position,
        truncated=overrun or b"mdat" not in data,
        input_bytes=len(data),
    )


class _Item(NamedTuple):
    size: tuple[int, int] | None = None
    turns: int = 0
    mirror: int | None = None
    bit_depth: int = 8
    has_alpha: bool = False
    icc: bool = False


def _boxes(data: bytes, start: int, stop: int) -> Iterator[_Box]:
    """Yield the boxes between `start` and `stop`; the last one may claim to end beyond."""
    for _ in range(steps(stop - start)):
        if start + 8 > stop:
            return
        size, kind, body = big(data, start, 4), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, body = big(data, start + 8, 8), start + 16
        end = stop if size == 0 else start + size
        if end < body:
            return
        yield _Box(kind, body, end)
        start = end


def _inside(data: bytes, box: _Box, *path: bytes) -> _Box | None:
    """Return the first box at `path` below `box`."""
    found: _Box | None = box
    for kind in path:
        if found is None:
            return None
        skip = 4 if found.kind == b"meta" else 0
        found = next(
            (b for b in _boxes(data, found.body + skip, min(found.end, len(data))) if b.kind == kind), None
        )
    return found


def _primary(data: bytes, meta: _Box) -> _Item | None:
    container = _inside(data, meta, b"iprp", b"ipco")
    if container is None:
        return None
    properties = list(_boxes(data, container.body, min(container.end, len(data))))
    size: tuple[int, int] | None = None
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
    return _Item(size, turns, mirror, bit_depth, has_alpha, icc)


def _associations(data: bytes, meta: _Box) -> list[int]:
    """Return the property indices (from 1) of the primary item."""
    primary_box, box = _inside(data, meta, b"pitm"), _inside(data, meta, b"iprp", b"ipma")
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


def _sequence(data: bytes, movie: _Box) -> tuple[int, tuple[int, int]]:
    """Return the most samples of any track, and the size of the first that has one."""
    frames, size = 1, (0, 0)
    for track in _boxes(data, movie.body, min(movie.end, len(data))):
        if track.kind != b"trak":
            continue
        samples = _inside(data, track, b"mdia", b"minf", b"stbl", b"stsz")
        if samples is not None:
            frames = max(frames, big(data, samples.body + 8, 4))
        header = _inside(data, track, b"tkhd")
        if header is not None and size == (0, 0):
            # Width and height are the last two fields, as 16.16 fixed point (14496-12, 8.3.2).
            size = big(data, header.end - 8, 4) >> 16, big(data, header.end - 4, 4) >> 16
    return frames, size
