"""A ten-line model of paging, and the walk that compares a paginator with it."""

from __future__ import annotations

import os
from functools import cmp_to_key
from typing import Any, NamedTuple

from hypothesis import strategies as st

from scalekit.pagination import CursorPaginator, asc, desc


def examples(usual: int) -> int:
    """How many walks are generated; the variable SCALEKIT_WALKS asks for more than usual."""
    return int(os.environ.get("SCALEKIT_WALKS", usual))


class Wish(NamedTuple):
    name: str
    descending: bool
    nulls: str | None

    def key(self) -> Any:
        return (desc if self.descending else asc)(self.name, nulls=self.nulls)


class Model:
    """Rows as dicts, sorted by comparing two of them key by key."""

    def __init__(self, wishes: list[Wish], *, nulls_largest: bool) -> None:
        self.wishes = wishes
        self.nulls_largest = nulls_largest

    def compare(self, one: dict, other: dict) -> int:
        for name, descending, nulls in self.wishes:
            left, right = one[name], other[name]
            if left == right:
                continue
            if left is None or right is None:
                first = nulls == "first" if nulls else descending is self.nulls_largest
                return -1 if (left is None) is first else 1
            return (-1 if left < right else 1) * (-1 if descending else 1)
        return 0

    def sorted(self, rows: list[dict]) -> list[dict]:
        return sorted(rows, key=cmp_to_key(self.compare))

    def beyond(self, rows: list[dict], row: dict, *, backward: bool, inclusive: bool) -> list[dict]:
        """Rows beyond `row`, nearest first."""
        sign = -1 if backward else 1
        listed = [
            each for each in self.sorted(rows) if self.compare(each, row) * sign > (-1 if inclusive else 0)
        ]
        return listed[::-1] if backward else listed


def wishes(*names: str, most: int = 3) -> st.SearchStrategy[list[Wish]]:
    wish = st.builds(Wish, st.sampled_from(names), st.booleans(), st.sampled_from([None, "first", "last"]))
    return st.lists(wish, min_size=1, max_size=most, unique_by=lambda each: each.name)


def zigzag(
    paginator: CursorPaginator, world: Any, model: Model, data: st.DataObject, *, steps: int = 12
) -> None:
    """Walk to and fro while `world` changes; every page must be what the model says.

    `world` has `rows` (dicts), `source()`, `change(data)` and `seen(item)`, the item as a dict.
    """
    limit = data.draw(st.integers(1, 4), label="limit")
    came: tuple[dict, bool, bool] | None = None
    from_end = data.draw(st.booleans(), label="from the end")
    cursor = None
    for _ in range(steps):
        if cursor is None:
            page = (paginator.last if from_end else paginator.paginate)(world.source(), limit=limit)
            backward = from_end
            nearest = model.sorted(world.rows)[:: -1 if from_end else 1]
        else:
            page = paginator.paginate(world.source(), cursor=cursor, limit=limit)
            row, backward, inclusive = came
            nearest = model.beyond(world.rows, row, backward=backward, inclusive=inclusive)
        expected = nearest[:limit][:: -1 if backward else 1]
        assert [world.seen(item) for item in page.items] == expected
        more = len(nearest) > limit
        began_inside = came is not None and (not came[2] or not expected)
        assert page.has_next is (began_inside if backward else more)
        assert page.has_previous is (more if backward else began_inside)
        ways = [way for way in (False, True) if (page.previous_cursor if way else page.next_cursor)]
        if not ways:
            return
        way = data.draw(st.sampled_from(ways), label="backward")
        came = (expected[0 if way else -1], way, False) if expected else (came[0], way, not came[2])
        cursor = page.previous_cursor if way else page.next_cursor
        world.change(data)


def forward(paginator: CursorPaginator, source: Any, limit: int) -> list:
    """Every item, walking forward; also checks what each page says of its ends."""
    pages = [paginator.paginate(source, limit=limit)]
    while pages[-1].next_cursor is not None:
        pages.append(paginator.paginate(source, cursor=pages[-1].next_cursor, limit=limit))
    assert [page.has_previous for page in pages] == [False] + [True] * (len(pages) - 1)
    assert all(len(page.items) == limit for page in pages[:-1])
    return [item for page in pages for item in page.items]


def backward(paginator: CursorPaginator, source: Any, limit: int) -> list:
    """Every item in order, walking backward from the last page."""
    pages = [paginator.last(source, limit=limit)]
    while pages[-1].previous_cursor is not None:
        pages.append(paginator.paginate(source, cursor=pages[-1].previous_cursor, limit=limit))
    assert [page.has_next for page in pages] == [False] + [True] * (len(pages) - 1)
    assert all(len(page.items) == limit for page in pages[:-1])
    return [item for page in reversed(pages) for item in page.items]
