"""`before=`: the rows that lie before a cursor's row, whatever way the cursor leads."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, PageEvent, SequenceSource, Total
from tests.pagination.models import Base
from tests.pagination.test_faces import AsyncSequence
from tests.pagination.walks import Model, Wish, wishes
from tests.pagination.worlds import ROWS, ListWorld, TableWorld

NUMBERS = [{"n": n} for n in range(10)]
SOURCE = SequenceSource(NUMBERS)
FEED = CursorPaginator(["n"], secret="s", limit=4)


class Known(NamedTuple):
    """A cursor, and what it stands for: a row, a direction, whether the row is among those it leads to."""

    cursor: str
    row: dict
    backward: bool
    inclusive: bool


def cursors_of(page, came: Known | None) -> list[Known]:
    """Every cursor that a page shows; `came` is the one that led to it, always backward if by `before=`."""
    if not page.items:
        both = [(page.next_cursor, False), (page.previous_cursor, True)]
        return [Known(each, came.row, way, not came.inclusive) for each, way in both if each is not None]
    known = [
        Known(page.cursor_at(at, before=before), row, before, False)
        for at, row in enumerate(page.items)
        for before in (False, True)
    ]
    for cursor, row, backward in (
        (page.next_cursor, page.items[-1], False),
        (page.previous_cursor, page.items[0], True),
    ):
        if cursor is not None:
            known.append(Known(cursor, row, backward, False))
    return known


def jumps(paginator, world, model, data, *, steps=8):
    """Jump about by both arguments while `world` changes; every page must be what the model says."""
    limit = data.draw(st.integers(1, 4), label="limit")
    page = paginator.paginate(world.source(), limit=limit).map(world.seen)
    came = None
    for _ in range(steps):
        choices = cursors_of(page, came)
        if not choices:
            return
        came = data.draw(st.sampled_from(choices), label="cursor")
        world.change(data)
        if data.draw(st.booleans(), label="before="):
            page = paginator.paginate(world.source(), before=came.cursor, limit=limit)
            # Of the cursors that lead forward none takes its own row along when read backward.
            came = came._replace(backward=True, inclusive=came.backward and came.inclusive)
        else:
            page = paginator.paginate(world.source(), cursor=came.cursor, limit=limit)
        page = page.map(world.seen)
        nearest = model.beyond(world.rows, came.row, backward=came.backward, inclusive=came.inclusive)
        expected = nearest[:limit][:: -1 if came.backward else 1]
        assert page.items == expected
        inside = not came.inclusive or not expected
        more = len(nearest) > limit
        assert (page.has_previous, page.has_next) == ((more, inside) if came.backward else (inside, more))


@given(rows=ROWS, asked=wishes("a", "b", "s"), data=st.data())
def test_any_jumps_in_a_changing_list(rows, asked, data):
    asked = [*asked, Wish("id", data.draw(st.booleans()), None)]
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    jumps(paginator, ListWorld(rows), Model(asked, nulls_largest=True), data)


@pytest.fixture(scope="module")
def shared_connection():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@given(rows=ROWS, asked=wishes("a", "b", "s"), data=st.data())
def test_any_jumps_in_a_changing_table(shared_connection, rows, asked, data):
    asked = [*asked, Wish("id", data.draw(st.booleans()), None)]
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    jumps(paginator, TableWorld(rows, shared_connection), Model(asked, nulls_largest=False), data)


def numbers(page):
    return [row["n"] for row in page.items]


def test_a_clients_start_cursor():
    page = FEED.paginate(SOURCE, cursor=FEED.paginate(SOURCE, limit=6).next_cursor, limit=2)
    start = page.to_relay()["pageInfo"]["startCursor"]
    assert numbers(FEED.paginate(SOURCE, cursor=start)) == [7, 8, 9], "by itself it leads forward"
    back = FEED.paginate(SOURCE, before=start)
    assert (numbers(back), back.has_next, back.has_previous) == ([2, 3, 4, 5], True, True)
    first = FEED.paginate(SOURCE, before=back.cursor_at(0))
    assert (numbers(first), first.has_next, first.has_previous) == ([0, 1], True, False)


def test_a_cursor_that_leads_backward_does_the_same_in_either_argument():
    page = FEED.paginate(SOURCE, cursor=FEED.paginate(SOURCE).next_cursor)
    emptied = FEED.paginate(SequenceSource(NUMBERS[:4]), cursor=page.cursor_at(3))
    assert (emptied.items, emptied.has_previous) == ([], True)
    for cursor in (page.previous_cursor, page.cursor_at(2, before=True), emptied.previous_cursor):
        assert (
            FEED.paginate(SOURCE, before=cursor).to_relay() == FEED.paginate(SOURCE, cursor=cursor).to_relay()
        )
    assert numbers(FEED.paginate(SOURCE, before=emptied.previous_cursor)) == [4, 5, 6, 7], "its row included"


def test_before_a_cursor_that_leads_forward_lie_the_rows_that_it_does_not_lead_to():
    emptied = FEED.paginate(SequenceSource(NUMBERS[5:]), before=FEED.paginate(SOURCE, limit=6).next_cursor)
    assert (emptied.items, emptied.has_next) == ([], True)
    assert numbers(FEED.paginate(SOURCE, cursor=emptied.next_cursor)) == [5, 6, 7, 8]
    assert numbers(FEED.paginate(SOURCE, before=emptied.next_cursor)) == [1, 2, 3, 4]


def test_what_a_source_is_asked_for():
    windows = []

    class Recording(SequenceSource):
        def fetch(self, window, /):
            windows.append(window)
            return super().fetch(window)

    FEED.paginate(Recording(NUMBERS), before=FEED.paginate(SOURCE).cursor_at(2))
    [window] = windows
    assert (window.position, window.backward, window.limit) == (((2,), True, False), True, 5)


def test_one_beginning():
    cursor = FEED.paginate(SOURCE).next_cursor
    with pytest.raises(ConfigurationError, match="before to be None beside a cursor") as caught:
        FEED.paginate(SOURCE, cursor=cursor, before=cursor)
    assert caught.value.parameter == "before"


@pytest.mark.parametrize("before", ["", "x", 5])
def test_a_foreign_cursor(before):
    heard: list[PageEvent] = []
    with pytest.raises(InvalidCursor):
        CursorPaginator(["n"], secret="s", on_event=heard.append).paginate(SOURCE, before=before)
    assert [event.outcome for event in heard] == ["refused"]
    mine = FEED.paginate(SOURCE, scope="me").next_cursor
    with pytest.raises(InvalidCursor):
        FEED.paginate(SOURCE, before=mine, scope="you")


@pytest.mark.anyio
async def test_the_async_twin():
    twin = AsyncCursorPaginator(["n"], secret="s", limit=4)
    source = AsyncSequence(NUMBERS)
    cursor = FEED.paginate(SOURCE, limit=6).next_cursor
    page = await twin.paginate(source, before=cursor, total=Total.exact())
    assert page.to_relay() == FEED.paginate(SOURCE, before=cursor, total=Total.exact()).to_relay()
    with pytest.raises(ConfigurationError, match="before"):
        await twin.paginate(source, cursor=cursor, before=cursor)
