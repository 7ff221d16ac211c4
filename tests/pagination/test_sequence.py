from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import CursorPaginator, Order, SequenceSource, TotalOrder, Window
from tests.pagination.walks import Model, Wish, backward, forward, wishes, zigzag
from tests.pagination.worlds import ROWS, ListWorld


@given(rows=ROWS, asked=wishes("a", "b", "s"), data=st.data())
def test_any_walk_through_a_changing_list(rows, asked, data):
    asked = [*asked, Wish("id", data.draw(st.booleans()), None)]
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    zigzag(paginator, ListWorld(rows), Model(asked, nulls_largest=True), data)


class Row:
    """Counts how often a row is looked at."""

    reads = 0

    def __init__(self, n):
        self._n = n

    @property
    def n(self):
        type(self).reads += 1
        return self._n


def test_a_page_costs_a_bisection():
    source = SequenceSource([Row(n) for n in range(10_000)])
    paginator = CursorPaginator(["n"], secret="s", limit=5)
    page = paginator.paginate(source)
    for _ in range(3):
        Row.reads = 0
        page = paginator.paginate(source, cursor=page.next_cursor)
        assert 0 < Row.reads < 20
    assert [item.n for item in page.items] == [15, 16, 17, 18, 19]


def test_attributes_and_mappings():
    rows = [{"score": n % 3, "id": n} for n in range(7)]
    things = [SimpleNamespace(**row) for row in rows]
    paginator = CursorPaginator(["-score", "id"], secret="s")
    expected = [2, 5, 1, 4, 0, 3, 6]
    assert [row["id"] for row in forward(paginator, SequenceSource(rows), 2)] == expected
    assert [thing.id for thing in backward(paginator, SequenceSource(iter(things)), 3)] == expected


def test_the_items_are_copied():
    rows = [{"id": 1}]
    source = SequenceSource(rows)
    rows.append({"id": 2})
    assert CursorPaginator(["id"], secret="s").paginate(source).items == [{"id": 1}]


@pytest.mark.parametrize(
    ("rows", "order_by", "expected"),
    [
        ([{"a": 1}, {"a": 1}], ["a"], "no two items share"),
        ([{"a": None}, {"a": None}], ["a"], "no two items share"),
        ([{"a": 1}, {"a": "x"}], ["a"], "values of one type"),
        ([{"a": math.nan}], ["a"], "other than NaN"),
        ([{"a": 1}, {"b": 1}], ["a"], "attributes or keys of every item"),
        ([1], ["a"], "attributes or keys of every item"),
        ([{"a": [1]}, {"a": [2]}], ["a"], "kind any"),
    ],
)
@pytest.mark.parametrize("append_key", [True, False])
def test_what_cannot_be_ordered(rows, order_by, expected, append_key):
    paginator = CursorPaginator(order_by, secret="s", limit=1, append_key=append_key)
    with pytest.raises(ConfigurationError, match=expected):
        paginator.paginate(SequenceSource(rows))


def test_the_name_that_an_item_lacks_is_shown():
    for item in ({"a": 1}, SimpleNamespace(a=1)):
        with pytest.raises(ConfigurationError, match=r"attributes or keys of every item.* got 'b'$"):
            CursorPaginator(["a", "-b"], secret="s").paginate(SequenceSource([item]))


def test_a_sequence_is_ordered_by_names():
    from sqlalchemy import column

    with pytest.raises(ConfigurationError, match="to be a name"):
        CursorPaginator([column("a")], secret="s").paginate(SequenceSource([{"a": 1}]))


@pytest.mark.parametrize("items", [None, 3, "abc", b"abc", {"a": 1}])
def test_items_are_a_sequence(items):
    with pytest.raises(ConfigurationError, match="items to be a sequence"):
        SequenceSource(items)


def test_a_cursor_whose_values_changed_their_type_is_invalid():
    paginator = CursorPaginator(["a"], secret="s", limit=1)
    cursor = paginator.paginate(SequenceSource([{"a": 1}, {"a": 2}])).next_cursor
    with pytest.raises(InvalidCursor, match="another type"):
        paginator.paginate(SequenceSource([{"a": "x"}, {"a": "y"}]), cursor=cursor)


def test_views_are_kept_for_some_orders_only():
    source = SequenceSource([{f"k{n}": n for n in range(40)}])
    orders = [Order([f"k{n}"]) for n in range(40)]
    assert all(source.order(order) is source.order(order) for order in orders)
    assert len(source._views) <= 16


def test_an_order_of_another_source_is_refused():
    with pytest.raises(ConfigurationError, match="order of this source"):
        SequenceSource([]).fetch(Window(TotalOrder([]), None, backward=False, limit=1))
