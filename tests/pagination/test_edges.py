"""Cursors of single items: where they lead, what they cost, and how they travel."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, Page, Rows, SequenceSource, Total
from tests.pagination.test_faces import AsyncSequence
from tests.pagination.walks import Model, Wish, wishes
from tests.pagination.worlds import ROWS, ListWorld

NUMBERS = [{"n": n} for n in range(10)]
SOURCE = SequenceSource(NUMBERS)
FEED = CursorPaginator(["n"], secret="s", limit=4)


class Counting(SequenceSource):
    """Counts the rows whose order values are asked for."""

    __slots__ = ("asked",)

    def __init__(self, items):
        super().__init__(items)
        self.asked = []

    def fetch(self, window, /):
        rows = super().fetch(window)

        def values(index):
            self.asked.append(index)
            return rows.values(index)

        return Rows(rows.items, values)


def numbers(page):
    return [row["n"] for row in page.items]


def middle():
    return FEED.paginate(SOURCE, cursor=FEED.paginate(SOURCE, limit=3).next_cursor)


TRAVELS = [lambda page: pickle.loads(pickle.dumps(page)), copy.copy, copy.deepcopy]


@given(rows=ROWS.filter(bool), asked=wishes("a", "b", "s"), limit=st.integers(1, 4), data=st.data())
def test_the_cursor_of_any_item_leads_away_from_it(rows, asked, limit, data):
    asked = [*asked, Wish("id", data.draw(st.booleans()), None)]
    world, model = ListWorld(rows), Model(asked, nulls_largest=True)
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    page = paginator.paginate(world.source(), limit=limit)
    for _ in range(data.draw(st.integers(0, 4))):
        if page.next_cursor is not None:
            page = paginator.paginate(world.source(), cursor=page.next_cursor, limit=limit)
    if data.draw(st.booleans()) and page.previous_cursor is not None:
        page = paginator.paginate(world.source(), cursor=page.previous_cursor, limit=limit)
    page = data.draw(st.sampled_from([lambda each: each, *TRAVELS]))(page)
    for index, row in enumerate(page.items):
        for before in (False, True):
            found = paginator.paginate(
                world.source(), cursor=page.cursor_at(index, before=before), limit=limit
            )
            nearest = model.beyond(world.rows, row, backward=before, inclusive=False)[:limit]
            assert found.items == nearest[:: -1 if before else 1]


def test_the_outermost_cursors_are_the_pages_own():
    page = middle()
    assert page.cursor_at(3) == page.next_cursor
    assert page.cursor_at(0, before=True) == page.previous_cursor
    back = FEED.paginate(SOURCE, cursor=page.previous_cursor, limit=2)
    assert numbers(back) == [1, 2]
    assert (back.cursor_at(1), back.cursor_at(0, before=True)) == (back.next_cursor, back.previous_cursor)


def test_a_page_whose_helpers_are_unused_makes_no_cursor_more():
    source = Counting(NUMBERS)
    page = FEED.paginate(source, cursor=FEED.paginate(source).next_cursor)
    source.asked.clear()
    page = FEED.paginate(source, cursor=page.previous_cursor)
    page.map(str).to_dict()
    page.link_header("/p")
    page.to_jsonapi("/p")
    assert len(source.asked) == 1
    page.cursor_at(1)
    assert len(source.asked) == 2


@pytest.mark.parametrize("travel", TRAVELS)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_page_that_travelled_behaves_the_same(travel, mapped):
    page = FEED.paginate(SOURCE, cursor=FEED.last(SOURCE).previous_cursor, total=Total.exact())
    if mapped:
        page = page.map(lambda row: {"n": -row["n"]})
    arrived = travel(travel(page))
    assert arrived.to_dict() == page.to_dict()
    assert arrived.to_relay() == page.to_relay()
    assert arrived.map(str).to_relay() == page.map(str).to_relay()
    for index in range(4):
        for before in (False, True):
            assert arrived.cursor_at(index, before=before) == page.cursor_at(index, before=before)
    with pytest.raises(IndexError):
        arrived.cursor_at(4)
    with pytest.raises(AttributeError):
        arrived.more = 1


def test_the_secret_stays_at_home():
    feed = CursorPaginator(["n"], secret="a-secret-of-ours", limit=2)
    assert b"secret-of-ours" not in pickle.dumps(feed.paginate(SOURCE))


@pytest.mark.parametrize("index", [4, -1, -4, 2**70])
@pytest.mark.parametrize("before", [False, True])
def test_there_is_no_such_item(index, before):
    with pytest.raises(
        IndexError, match=f"expected index from 0 to below 4, the number of items; got {index}"
    ):
        middle().cursor_at(index, before=before)
    with pytest.raises(IndexError, match="below 0, the number"):
        FEED.paginate(SequenceSource([])).cursor_at(0)


@pytest.mark.parametrize("travel", [lambda page: page, *TRAVELS])
def test_items_that_are_not_those_read_have_no_cursors(travel):
    for change in (lambda items: items.pop(0), lambda items: items.append({"n": 7})):
        page = travel(middle())
        change(page.items)
        with pytest.raises(ConfigurationError, match="to be the 4 that were read"):
            page.cursor_at(1)
        with pytest.raises(ConfigurationError, match="4 that were read"):
            page.to_relay()
        assert travel(page).to_dict() == page.to_dict(), "it is still a page"


def test_a_page_made_by_hand_has_no_cursors():
    for travel in (lambda page: page, *TRAVELS):
        with pytest.raises(ConfigurationError, match="to come from a paginator"):
            travel(Page([1], limit=1)).cursor_at(0)


def test_a_page_of_values_that_no_cursor_holds_still_travels():
    page = FEED.paginate(SequenceSource([{"n": (1, 2)}, {"n": (3, 4)}]))
    with pytest.raises(ConfigurationError, match="order key 'n' to hold"):
        page.cursor_at(0)
    for travel in TRAVELS:
        assert numbers(travel(page)) == [(1, 2), (3, 4)]
        with pytest.raises(ConfigurationError):
            travel(page).to_relay()


@pytest.mark.anyio
async def test_the_async_twin_makes_the_same_cursors():
    page = await AsyncCursorPaginator(["n"], secret="s", limit=4).paginate(AsyncSequence(NUMBERS))
    assert page.to_relay() == FEED.paginate(SOURCE).to_relay()
