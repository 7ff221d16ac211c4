# ruff: noqa: S101  # a suite of tests asserts
"""What the tests of `PageSourceSuite` share: rows, orders, a model of both, and a source that is asked."""

from __future__ import annotations

import inspect
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, TypeAlias

from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, Order, TotalOrder, Window, asc, desc
from scalekit.pagination._cursor import Codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scalekit.pagination import Key, Page, Position
    from scalekit.testing._driver import Driver

Row: TypeAlias = "Mapping[str, Any]"

# Not in the order of any key; ties in all but the id, and NULLs among them.
ROWS: list[Row] = [
    {"id": n * 7 % 13, "a": (None, 1, 2, None, 1)[n % 5], "b": n % 3, "s": (None, "a", "", "b")[n % 4]}
    for n in range(1, 13)
]

ORDERS: list[list[Key]] = [
    [asc("id")],
    [desc("id")],
    [asc("b"), asc("id")],
    [desc("b"), desc("id")],
    [asc("b"), desc("id")],
    [asc("a", nulls="first"), asc("id")],
    [asc("a", nulls="last"), asc("id")],
    [desc("a", nulls="first"), desc("id")],
    [desc("a", nulls="last"), asc("id")],
    [asc("a", nulls="last"), desc("s", nulls="first"), asc("id")],
    [desc("b"), asc("s", nulls="last"), desc("a", nulls="last"), asc("id")],
]


def named(keys: Sequence[Key]) -> str:
    """Return the keys as a message shows them."""
    return ", ".join(f"{key.by} {'desc' if key.descending else 'asc'} nulls {key.nulls}" for key in keys)


class Asked:
    """A source over some rows, in an order; and what it should give, by comparing rows key by key."""

    def __init__(self, probe: PageProbe, rows: Sequence[Row], keys: Sequence[Key]) -> None:
        self.probe = probe
        self.keys = keys
        self.source: Any = probe.source(rows)
        self.wanted = Order(keys, append_key=False)
        self.order: TotalOrder = self.source.order(self.wanted)
        assert isinstance(self.order, TotalOrder), f"order() must return a TotalOrder, not {self.order!r}"
        self.coder = Codec(b"any").bind(self.order, None)
        self.sorted = sorted(rows, key=cmp_to_key(self.compare))

    def compare(self, one: Row, other: Row) -> int:
        """Return -1, 0 or 1 as `one` comes before, with or after `other`; NULLs where the order says."""
        for key, sort in zip(self.keys, self.order.keys, strict=False):
            left, right = one[key.by], other[key.by]
            if left == right:
                continue
            if left is None or right is None:
                return -1 if (left is None) is sort.nulls_first else 1
            return -1 if (left < right) is not key.descending else 1
        return 0

    def ids(self, window: Window) -> list[int]:
        """Return the ids of the rows that the source finds."""
        return self.probe.ids(self.probe.driver(self.source.fetch, window).items)

    def first(self, limit: int, *, backward: bool = False) -> Window:
        """Return the window from the beginning or the end."""
        return Window(self.order, None, backward, limit)

    def beyond(self, values: tuple[Any, ...], limit: int, *, backward: bool, inclusive: bool) -> Window:
        """Return the window from a row's values on, which have been through a cursor."""
        cursor = self.coder.encode(values, backward=backward, inclusive=inclusive)
        position: Position = self.coder.decode(cursor)
        return Window(self.order, position, backward, limit)

    def expected(self, row: Row, limit: int, *, backward: bool, inclusive: bool) -> list[int]:
        """Return the ids of the rows beyond `row`, whether it is there or not, nearest first."""
        sign, least = (-1 if backward else 1), (0 if inclusive else 1)
        found = [each["id"] for each in self.sorted if self.compare(each, row) * sign >= least]
        return (found[::-1] if backward else found)[:limit]

    def values(self) -> dict[int, tuple[Any, ...]]:
        """Return the order's values of every row, by id."""
        rows = self.probe.driver(self.source.fetch, self.first(len(self.sorted)))
        return {each: rows.values(index) for index, each in enumerate(self.probe.ids(rows.items))}


class PageProbe:
    """The source of a suite, asked through a driver."""

    def __init__(self, driver: Driver, make_source: Callable[..., Any], id_of: Callable[[Any], int]) -> None:
        self.driver = driver
        self._make_source = make_source
        self._id_of = id_of

    def source(self, rows: Sequence[Row]) -> Any:
        """Return a source over these rows."""
        return self.driver(self._make_source, [dict(row) for row in rows])

    def asked(self, keys: Sequence[Key], rows: Sequence[Row] = ROWS) -> Asked:
        """Return a source over `rows` that is asked for this order."""
        return Asked(self, rows, keys)

    def ids(self, items: Sequence[Any]) -> list[int]:
        """Return the ids of items."""
        return [self._id_of(item) for item in items]

    def page(
        self,
        asked: Asked,
        cursor: str | None = None,
        *,
        limit: int,
        keys: Sequence[Key] | None = None,
        last: bool = False,
        append_key: bool = False,
    ) -> Page[Any]:
        """Return a page that the paginator of the source's kind makes."""
        awaited = inspect.iscoroutinefunction(asked.source.fetch)
        paginator: Any = (AsyncCursorPaginator if awaited else CursorPaginator)(
            asked.keys if keys is None else keys, append_key=append_key, secret=b"any", limit=limit
        )
        if last:
            found: Page[Any] = self.driver(paginator.last, asked.source)
        else:
            found = self.driver(paginator.paginate, asked.source, cursor=cursor)
        return found
