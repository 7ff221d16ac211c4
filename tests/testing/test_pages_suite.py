"""PageSourceSuite goes red on sources that break the contract, each in its own way."""

from __future__ import annotations

import itertools
import random

import pytest

from scalekit.pagination import Order, SequenceSource, SortKey, TotalOrder, Window
from scalekit.pagination._order import Key
from scalekit.pagination._values import ANY
from scalekit.pagination._window import Rows
from scalekit.testing import PageSourceSuite
from scalekit.testing._driver import Driver
from scalekit.testing._page_probe import PageProbe
from tests.testing.failing import names_of

TESTS = names_of(PageSourceSuite)


def failing(make_source, *, stop_at_first=False):
    """The names of the suite's tests that the source fails."""
    failed = set()
    for name in TESTS:
        one = PageSourceSuite()
        with Driver() as driver:
            one._probe = PageProbe(driver, make_source, one.id_of)
            try:
                getattr(one, name)()
            except pytest.skip.Exception:
                pass
            except (Exception, pytest.fail.Exception):
                failed.add(name)
                if stop_at_first:
                    break
    return failed


class OffByOne(SequenceSource):
    """Begins one row too late."""

    def fetch(self, window, /):
        if window.position is None or window.backward:
            return super().fetch(window)
        found = super().fetch(window._replace(limit=window.limit + 1))
        return Rows(found.items[1:], lambda index: found.values(index + 1))


class ReadsOneRowLess(SequenceSource):
    def fetch(self, window, /):
        return super().fetch(window._replace(limit=max(1, window.limit - 1)))


class IgnoresTheLimit(SequenceSource):
    def fetch(self, window, /):
        return super().fetch(window._replace(limit=100))


class LosesNulls(SequenceSource):
    """As `a > x` does, where `OR a IS NULL` is missing."""

    def fetch(self, window, /):
        found = super().fetch(window)
        if window.position is None or None in window.position.values:
            return found
        kept = [n for n in range(len(found.items)) if None not in found.values(n)]
        return Rows([found.items[n] for n in kept], lambda index: found.values(kept[index]))


class LosesNullsBehindNulls(SequenceSource):
    """As `a = NULL` does."""

    def fetch(self, window, /):
        if window.position is not None and None in window.position.values:
            return Rows([], lambda index: ())
        return super().fetch(window)


class IgnoresInclusive(SequenceSource):
    def fetch(self, window, /):
        position = window.position
        return super().fetch(window._replace(position=position and position._replace(inclusive=False)))


class AlwaysInclusive(SequenceSource):
    def fetch(self, window, /):
        position = window.position
        return super().fetch(window._replace(position=position and position._replace(inclusive=True)))


class UnstableOrder(SequenceSource):
    """Sorts by the first key, ties as they come."""

    def order(self, wanted, /):
        order = super().order(wanted)
        by = wanted.keys[0].by
        groups = itertools.groupby(order.items, key=lambda item: item[by])
        ties = [list(group) for _, group in groups]
        order.items = [item for group in ties for item in random.sample(group, len(group))]
        return order


class ReadsBeforeThePosition(SequenceSource):
    """By the first key alone, as an OR too many does."""

    def fetch(self, window, /):
        found = super().fetch(window)
        if window.position is None:
            return found
        by = window.order.keys[0].name
        whole = super().fetch(window._replace(position=None, limit=1000))
        kept = [
            n
            for n, item in enumerate(whole.items)
            if item in found.items or item[by] == window.position.values[0]
        ]
        kept = kept[: window.limit]
        return Rows([whole.items[n] for n in kept], lambda index: whole.values(kept[index]))


class IgnoresBackward(SequenceSource):
    def fetch(self, window, /):
        return super().fetch(window._replace(backward=False))


class ReturnsBackwardRowsInOrder(SequenceSource):
    def fetch(self, window, /):
        found = super().fetch(window)
        if not window.backward:
            return found
        return Rows(found.items[::-1], lambda index: found.values(len(found.items) - 1 - index))


class NeedsTheCursorsRow(SequenceSource):
    """Looks its position up, and starts over where it is gone."""

    def fetch(self, window, /):
        whole = super().fetch(Window(window.order, None, False, 1000))
        values = [whole.values(n) for n in range(len(whole.items))]
        if window.position is not None and window.position.values not in values:
            return super().fetch(window._replace(position=None))
        return super().fetch(window)


class ValuesOfTheNextRow(SequenceSource):
    def fetch(self, window, /):
        found = super().fetch(window)
        return Rows(found.items, lambda index: found.values(min(index + 1, len(found.items) - 1)))


class ValuesWithoutNull(SequenceSource):
    def fetch(self, window, /):
        found = super().fetch(window)
        return Rows(found.items, lambda index: tuple(value or 0 for value in found.values(index)))


class FingerprintOfTheInstance(SequenceSource):
    def order(self, wanted, /):
        order = super().order(wanted)
        order.fingerprint += str(id(self)).encode()
        self._kept = KEPT.append(self)
        return order

    __slots__ = ("_kept",)


KEPT: list[object] = []


class FingerprintOfTheNames(SequenceSource):
    def order(self, wanted, /):
        order = super().order(wanted)
        order.fingerprint = ",".join(key.name for key in order.keys).encode()
        return order


class IgnoresDirections(SequenceSource):
    def order(self, wanted, /):
        return super().order(Order([key._replace(descending=False) for key in wanted.keys]))


class IgnoresPlacedNulls(SequenceSource):
    def order(self, wanted, /):
        return super().order(Order([key._replace(nulls=None) for key in wanted.keys]))


class SaysNeverNull(SequenceSource):
    def order(self, wanted, /):
        order = super().order(wanted)
        order.keys = tuple(key._replace(nullable=False) for key in order.keys)
        return order


class TakesAnyName(SequenceSource):
    def order(self, wanted, /):
        known = [key for key in wanted.keys if key.by in {"id", "a", "b", "s"}]
        return super().order(Order(known or ["id"]))


class DropsTies(SequenceSource):
    """Takes an order for total that is not, and keeps one row of equals."""

    def order(self, wanted, /):
        if any(key.by == "id" for key in wanted.keys):
            return super().order(wanted)
        names = [key.by for key in wanted.keys]
        items = {tuple(item[name] for name in names): item for item in self._items}
        return SequenceSource(items.values()).order(wanted)


class CountsAll(SequenceSource):
    def count(self, at_most, /):
        return super().count(None)


class CountsOneMore(SequenceSource):
    def count(self, at_most, /):
        return super().count(at_most) + 1


class SlicesOverlap(SequenceSource):
    def slice(self, offset, limit, /):
        return super().slice(max(0, offset - 1), limit)


class NoOrder(SequenceSource):
    def order(self, wanted, /):
        return wanted


BROKEN = [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, SequenceSource) and cls is not SequenceSource
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_source_fails(broken):
    assert failing(broken, stop_at_first=True)


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (IgnoresInclusive, "test_an_inclusive_window_begins_with_the_row"),
        (IgnoresInclusive, "test_an_emptied_page_leads_back"),
        (NeedsTheCursorsRow, "test_a_position_needs_no_row"),
        (NeedsTheCursorsRow, "test_rows_that_come_and_go_take_no_other_row_with_them"),
        (LosesNulls, "test_a_window_begins_beyond_a_row"),
        (OffByOne, "test_walks_forward_and_backward_give_every_row_once"),
        (ReturnsBackwardRowsInOrder, "test_a_window_begins_at_either_end"),
        (AlwaysInclusive, "test_to_and_fro_are_the_same_pages"),
        (FingerprintOfTheInstance, "test_equal_orders_have_equal_fingerprints"),
        (FingerprintOfTheInstance, "test_cursors_travel_between_sources"),
        (FingerprintOfTheNames, "test_different_orders_have_different_fingerprints"),
        (DropsTies, "test_an_order_with_ties_is_made_total_or_refused"),
        (TakesAnyName, "test_a_key_that_the_rows_lack_is_refused"),
        (ValuesOfTheNextRow, "test_values_are_those_of_the_row_asked_for"),
        (IgnoresDirections, "test_an_order_is_what_was_asked_for"),
        (CountsAll, "test_it_counts_all_rows_or_up_to_a_number"),
        (SlicesOverlap, "test_slices_have_each_row_once"),
        (LosesNullsBehindNulls, "test_a_position_needs_no_row"),
    ],
)
def test_each_fault_is_found_by_the_test_of_its_clause(broken, name):
    assert name in failing(broken)


class FindsOneWhereNoneIs(SequenceSource):
    def fetch(self, window, /):
        return super().fetch(window) if self._items else Rows([{"id": 1}], lambda index: (1,))


def test_a_row_of_an_empty_source_is_found():
    assert "test_no_rows_make_no_rows" in failing(FindsOneWhereNoneIs)


class NoSource:
    def order(self, wanted, /):
        return TotalOrder([SortKey("id", False, False, True, ANY) for _ in wanted.keys if isinstance(_, Key)])


def test_what_is_no_source_fails():
    assert "test_it_has_the_methods_of_its_protocol" in failing(lambda rows: NoSource())


def test_a_right_source_fails_nothing():
    assert failing(SequenceSource) == set()


def test_it_asks_for_a_source():
    with pytest.raises(NotImplementedError, match="fixture named make_source"):
        PageSourceSuite.make_source.__wrapped__(PageSourceSuite())
