"""Boxes of the ISO base media file format (ISO/IEC 14496-12, section 4.2), and where items lie in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scalekit.images._bytes import big, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_FILE, _IN_META = 0, 1


class Box(NamedTuple):
    """One box: its type, and where its content begins and ends (perhaps beyond the data)."""

    kind: bytes
    body: int
    end: int


class Item(NamedTuple):
    """One item of a `meta` box: its type and the (start, end) of its pieces."""

    kind: bytes
    pieces: tuple[tuple[int, int], ...]


def boxes(data: bytes, start: int, stop: int) -> Iterator[Box]:
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
        yield Box(kind, body, end)
        start = end


def children(data: bytes, box: Box, *, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes inside `box`, after `skip` bytes of its own fields."""
    return boxes(data, box.body + skip, min(box.end, len(data)))


def inside(data: bytes, box: Box, *path: bytes) -> Box | None:
    """Return the first box at `path` below `box`, None if a part of the path is missing."""
    for kind in path:
        skip = 4 if box.kind == b"meta" else 0
        found = next((child for child in children(data, box, skip=skip) if child.kind == kind), None)
        if found is None:
            return None
        box = found
    return box


def items(data: bytes, meta: Box) -> list[Item]:
    """Return the items whose place in the file is known (23008-12 uses iinf 8.11.6 and iloc 8.11.3)."""
    kinds = _kinds(data, meta)
    box = inside(data, meta, b"iloc")
    if box is None:
        return []
    version, sizes = big(data, box.body, 1), big(data, box.body + 4, 2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    id_size = 4 if version == 2 else 2  # noqa: PLR2004
    inner = inside(data, meta, b"idat")
    at, stop = box.body + 6 + id_size, min(box.end, len(data))
    found: list[Item] = []
    budget = steps(len(data))
    for _ in range(big(data, box.body + 6, id_size)):
        if at >= stop or budget <= 0:
            break
        item, at = big(data, at, id_size), at + id_size
        method, at = (big(data, at, 2) & 15, at + 2) if version else (_IN_FILE, at)
        base, count = big(data, at + 2, base_size), big(data, at + 2 + base_size, 2)
        at += 4 + base_size
        if method == _IN_META and inner is not None:
            base += inner.body
        pieces: list[tuple[int, int]] = []
        for _ in range(min(count, budget)):
            start = base + big(data, at + index_size, offset_size)
            length = big(data, at + index_size + offset_size, length_size)
            pieces.append((start, start + length if length else len(data)))
            at += index_size + offset_size + length_size
        budget -= 1 + len(pieces)
        if method in {_IN_FILE, _IN_META}:
            found.append(Item(kinds.get(item, b""), tuple(pieces)))
    return found


def _kinds(data: bytes, meta: Box) -> dict[int, bytes]:
    """Return the type of each item by its number."""
    box = inside(data, meta, b"iinf")
    if box is None:
        return {}
    kinds: dict[int, bytes] = {}
    for entry in children(data, box, skip=8 if big(data, box.body, 1) else 6):
        id_size = 4 if big(data, entry.body, 1) >= 3 else 2  # noqa: PLR2004
        kind = entry.body + 4 + id_size + 2
        kinds[big(data, entry.body + 4, id_size)] = data[kind : kind + 4]
    return kinds
