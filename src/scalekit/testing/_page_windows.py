# ruff: noqa: S101  # a suite of tests asserts
"""The part of `PageSourceSuite` about what a source answers: its orders, its windows, its counts."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from scalekit.errors import ConfigurationError
from scalekit.pagination import (
    AsyncOffsetSource,
    AsyncPageSource,
    OffsetSource,
    Order,
    PageSource,
    Window,
    asc,
    desc,
)
from scalekit.testing._page_probe import ORDERS, ROWS, named

if TYPE_CHECKING:
    from scalekit.testing._page_probe import PageProbe

_LIMITS = (1, 2, 5, len(ROWS), len(ROWS) + 1)
_UNSAID = ([asc("a"), asc("id")], [desc("a"), asc("id")], [asc("s"), desc("a"), asc("id")])


class WindowTests:
    """Tests of single calls."""

    _probe: PageProbe

    # -- the order --------------------------------------------------------------------------------

    def test_it_has_the_methods_of_its_protocol(self) -> None:
        """It has the methods of its protocol."""
        source = self._probe.source(ROWS)
        assert isinstance(source, (PageSource, AsyncPageSource))

    def test_an_order_is_what_was_asked_for(self) -> None:
        """Keys come in the order, direction and placement of NULLs that were asked for."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            found = asked.order.keys[: len(keys)]
            assert [key.descending for key in found] == [key.descending for key in keys], named(keys)
            for key, sort in zip(keys, found, strict=True):
                if key.nulls is not None:
                    assert sort.nulls_first is (key.nulls == "first"), named(keys)
                    assert sort.nullable, f"{key.by} can be NULL"

    def test_equal_orders_have_equal_fingerprints(self) -> None:
        """Whatever rows there are, in each source; or cursors would not travel."""
        for keys in (*ORDERS, *_UNSAID):
            fingerprints = {
                self._probe.asked(keys, rows).order.fingerprint for rows in (ROWS, ROWS, [], ROWS[:3])
            }
            assert len(fingerprints) == 1, named(keys)

    def test_different_orders_have_different_fingerprints(self) -> None:
        """Or a cursor would be taken for one of another order."""
        fingerprints = [self._probe.asked(keys).order.fingerprint for keys in ORDERS]
        for at, keys in enumerate(ORDERS):
            others = [
                named(ORDERS[n])
                for n, each in enumerate(fingerprints)
                if each == fingerprints[at] and n != at
            ]
            assert not others, f"{named(keys)} is told from {others}"

    def test_a_key_that_the_rows_lack_is_refused(self) -> None:
        """By `order()` with a `ConfigurationError`, or by `fetch()` where only reading tells."""
        source = self._probe.source(ROWS)
        try:
            order = source.order(Order(["no_such_key", "id"], append_key=False))
        except ConfigurationError:
            return
        with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the database raises
            self._probe.driver(source.fetch, Window(order, None, False, 2))

    # -- windows ----------------------------------------------------------------------------------

    def test_a_window_begins_at_either_end(self) -> None:
        """Without a position it has the first rows, or backward the last from the end on."""
        for keys in (*ORDERS, *_UNSAID):
            asked = self._probe.asked(keys)
            ids = [row["id"] for row in asked.sorted]
            for limit in _LIMITS:
                assert asked.ids(asked.first(limit)) == ids[:limit], named(keys)
                assert asked.ids(asked.first(limit, backward=True)) == ids[::-1][:limit], named(keys)

    def test_a_window_begins_beyond_a_row(self) -> None:
        """Never with a row before it, and without the row itself."""
        self._beyond_every_row(inclusive=False)

    def test_an_inclusive_window_begins_with_the_row(self) -> None:
        """The row itself belongs to it, and is the first."""
        self._beyond_every_row(inclusive=True)

    def test_a_position_needs_no_row(self) -> None:
        """Where the row of a position was deleted, the window begins in its place."""
        for keys in ORDERS:
            values = self._probe.asked(keys).values()
            for row in ROWS[::4]:
                asked = self._probe.asked(keys, [each for each in ROWS if each is not row])
                for backward in (False, True):
                    for inclusive in (False, True):
                        window = asked.beyond(values[row["id"]], 4, backward=backward, inclusive=inclusive)
                        expected = asked.expected(row, 4, backward=backward, inclusive=inclusive)
                        assert asked.ids(window) == expected, f"{named(keys)}, beyond the deleted {row}"

    def test_values_are_those_of_the_row_asked_for(self) -> None:
        """They survive a cursor, have None for NULL, and are the same however the row is reached."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            values = asked.values()
            windows = [asked.first(5, backward=True)]
            for row in ROWS:
                window = asked.beyond(values[row["id"]], 3, backward=False, inclusive=True)
                assert window.position is not None
                assert window.position.values == values[row["id"]], (
                    "a value changes on its way through a cursor"
                )
                nulls = [value is None for value in values[row["id"]][: len(keys)]]
                assert nulls == [row[key.by] is None for key in keys], f"{named(keys)} of {row}"
                windows.append(window)
            for window in windows:
                found = self._probe.driver(asked.source.fetch, window)
                for index, each in enumerate(self._probe.ids(found.items)):
                    assert found.values(index) == values[each], f"{named(keys)}: values({index}) of {each}"

    def test_no_rows_make_no_rows(self) -> None:
        """In whatever order and direction."""
        for keys in ORDERS:
            values = self._probe.asked(keys).values()[ROWS[0]["id"]]
            asked = self._probe.asked(keys, [])
            assert asked.ids(asked.first(3)) == asked.ids(asked.first(3, backward=True)) == []
            assert asked.ids(asked.beyond(values, 3, backward=False, inclusive=True)) == []

    # -- counts -----------------------------------------------------------------------------------

    def test_it_counts_all_rows_or_up_to_a_number(self) -> None:
        """`count(None)` is exact; `count(n)` stops at n."""
        for rows in (ROWS, ROWS[:1], []):
            source = self._probe.source(rows)
            assert self._probe.driver(source.count, None) == len(rows)
            for at_most in (1, len(ROWS) - 1, len(ROWS), len(ROWS) + 1):
                assert self._probe.driver(source.count, at_most) == min(at_most, len(rows))

    def test_slices_have_each_row_once(self) -> None:
        """Where it can be paged by number, too: slices side by side are the whole list."""
        source: Any = self._probe.source(ROWS)
        if not isinstance(source, (OffsetSource, AsyncOffsetSource)):
            pytest.skip(f"{type(source).__name__} is no OffsetSource")
        whole = self._probe.ids(self._probe.driver(source.slice, 0, len(ROWS) + 1))
        assert sorted(whole) == sorted(row["id"] for row in ROWS)
        for limit in (1, 5):
            parts = [
                self._probe.driver(source.slice, offset, limit) for offset in range(0, len(ROWS) + 1, limit)
            ]
            assert [each for part in parts for each in self._probe.ids(part)] == whole
        assert self._probe.ids(self._probe.driver(source.slice, len(ROWS), 3)) == []

    def _beyond_every_row(self, *, inclusive: bool) -> None:
        for keys in (*ORDERS, *_UNSAID):
            asked = self._probe.asked(keys)
            values = asked.values()
            assert sorted(values) == sorted(row["id"] for row in ROWS), f"{named(keys)}: not every row"
            for row, limit in zip(ROWS, cycle((2, len(ROWS))), strict=False):
                for backward in (False, True):
                    window = asked.beyond(values[row["id"]], limit, backward=backward, inclusive=inclusive)
                    expected = asked.expected(row, limit, backward=backward, inclusive=inclusive)
                    way = "backward from" if backward else "from"
                    assert asked.ids(window) == expected, f"{named(keys)}, {way} {row}, {limit=}"
