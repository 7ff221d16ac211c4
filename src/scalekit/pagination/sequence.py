"""Rows that are already in memory: a list of objects or of mappings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination._order import SortKey, TotalOrder
from scalekit.pagination._values import ANY
from scalekit.pagination._window import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.pagination._order import Key, Order
    from scalekit.pagination._window import Window

T = TypeVar("T")
_MOST_VIEWS = 16


class _Backwards:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Backwards) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


class _View(TotalOrder, Generic[T]):
    """The items in one order, so that a position is found by bisection."""

    __slots__ = ("items", "read")

    def __init__(self, items: list[T], wanted: Order) -> None:
        super().__init__([_sort_key(key) for key in wanted.keys])
        self.read = _reader([key.name for key in self.keys])
        self.items = items
        try:
            self._sort()
        except TypeError as error:
            raise ConfigurationError("order_by", _names(self), "to order values of one type") from error

    def _sort(self) -> None:
        # Sorted by the least significant key first; Python's sort keeps the order of equals.
        decorated = [(self.read(item), item) for item in self.items]
        for index in range(len(self.keys) - 1, -1, -1):
            key = self.keys[index]
            nulls = [pair for pair in decorated if pair[0][index] is None]
            present = [pair for pair in decorated if pair[0][index] is not None]
            present.sort(key=lambda pair: pair[0][index], reverse=key.descending)
            decorated = nulls + present if key.nulls_first else present + nulls
        self.items = [item for _, item in decorated]
        for (before, _), (after, _) in pairwise(decorated):
            if before == after:
                raise ConfigurationError(
                    "order_by", _names(self), f"with a key that no two items share (two have {after!r})"
                )
        for values, _ in decorated:
            if any(value != value for value in values):  # noqa: PLR0124  # NaN is nothing
                raise ConfigurationError("order_by", _names(self), "to order values other than NaN")

    def place(self, values: tuple[object, ...], *, after: bool) -> int:
        """Return the index where `values` would stand, after or before an equal item."""
        bisect = bisect_right if after else bisect_left
        try:
            return bisect(self.items, self._rank(values), key=lambda item: self._rank(self.read(item)))
        except TypeError:  # the cursor was made when the values were of another type
            raise InvalidCursor("values of another type") from None

    def _rank(self, values: tuple[Any, ...]) -> list[tuple[bool, Any]]:
        return [
            (not key.nulls_first, None)
            if value is None
            else (key.nulls_first, _Backwards(value) if key.descending else value)
            for key, value in zip(self.keys, values, strict=True)
        ]


class SequenceSource(Generic[T]):
    """Pages through `items`, ordered by attributes, or by keys where the items are mappings.

    The items are copied and sorted once for each order, so keep the source between pages: the first
    page costs O(n log n), later ones O(log n). NULL is None; it sorts last ascending and first
    descending unless a key says otherwise. No two items may be equal in all keys of the order: a
    `ConfigurationError` says so, since cursors could not tell them apart. An `OffsetPaginator` keeps
    the order that the items have.

    Safe to share between threads. Raises `ConfigurationError` when `items` is not iterable.
    """

    __slots__ = ("_items", "_views")

    def __init__(self, items: Iterable[T]) -> None:
        if not isinstance(items, Iterable) or issubclass(type(items), (str, bytes, Mapping)):
            raise ConfigurationError("items", items, "to be a sequence of objects or mappings")
        self._items = list(items)
        self._views: dict[tuple[Key, ...], _View[T]] = {}

    def order(self, wanted: Order, /) -> TotalOrder:
        """Return the order, sorting the items at its first use."""
        view = self._views.get(wanted.keys)
        if view is None:
            view = _View(self._items, wanted)
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            self._views[wanted.keys] = view
        return view

    def fetch(self, window: Window, /) -> Rows[T]:
        """Return a slice of the sorted items."""
        if not isinstance(window.order, _View):
            raise ConfigurationError("window", window, "with an order of this source")
        view = cast("_View[T]", window.order)
        items = view.items
        read = view.read
        position = window.position
        if window.backward:
            stop = len(items) if position is None else view.place(position.values, after=position.inclusive)
            found = items[max(0, stop - window.limit) : stop][::-1]
        else:
            start = 0 if position is None else view.place(position.values, after=not position.inclusive)
            found = items[start : start + window.limit]

        def values(index: int) -> tuple[Any, ...]:
            return read(found[index])

        return Rows(found, values)

    def slice(self, offset: int, limit: int, /) -> list[T]:
        """Return a slice of the items as they were given."""
        return self._items[offset : offset + limit]

    def count(self, at_most: int | None, /) -> int:
        """Return the number of items."""
        return len(self._items) if at_most is None else min(len(self._items), at_most)


def _sort_key(key: Key) -> SortKey:
    if not isinstance(key.by, str):
        raise ConfigurationError("order key", key.by, "to be a name, in a sequence")
    nulls_first = key.descending if key.nulls is None else key.nulls == "first"
    return SortKey(key.by, key.descending, nulls_first, nullable=True, kind=ANY)


def _reader(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    def read(item: Any) -> tuple[Any, ...]:
        try:
            if isinstance(item, Mapping):
                return tuple([item[name] for name in names])
            return tuple([getattr(item, name) for name in names])
        except (KeyError, AttributeError) as error:
            missing = next((name for name in names if not _has(item, name)), names)
            kind = type(cast("object", item)).__name__
            raise ConfigurationError(
                "order_by", missing, f"to name attributes or keys of every item, and one {kind} lacks this"
            ) from error

    return read


def _has(item: Any, name: str) -> bool:
    return name in item if isinstance(item, Mapping) else hasattr(item, name)


def _names(order: TotalOrder) -> list[str]:
    return [key.name for key in order.keys]
