from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace

import pytest

from scalekit.errors import ConfigurationError, InvalidCursor, OffsetTooDeep
from scalekit.pagination import (
    AsyncCursorPaginator,
    AsyncOffsetPaginator,
    Count,
    CursorPaginator,
    OffsetPaginator,
    SequenceSource,
    Total,
)

ROWS = [{"n": n, "half": n // 2} for n in range(10)]
SOURCE = SequenceSource(ROWS)


class AsyncSequence:
    """A third party's async source: what the protocols ask for, and nothing more."""

    def __init__(self, items):
        self.inner = SequenceSource(items)

    def order(self, wanted, /):
        return self.inner.order(wanted)

    async def fetch(self, window, /):
        return self.inner.fetch(window)

    async def slice(self, offset, limit, /):
        return self.inner.slice(offset, limit)

    async def count(self, at_most, /):
        return self.inner.count(at_most)


def numbers(page):
    return [row["n"] for row in page.items]


@pytest.fixture
def feed():
    return CursorPaginator(["n"], secret="s", limit=4, max_limit=6)


def test_the_size_of_a_page(feed):
    assert feed.paginate(SOURCE).limit == 4
    assert feed.paginate(SOURCE, limit=6).limit == 6
    for much in (7, 2**40, 2**70):
        page = feed.paginate(SOURCE, limit=much)
        assert (page.limit, len(page.items)) == (6, 6)
    for limit in (0, -1, True, 2.0, "3"):
        with pytest.raises(ConfigurationError, match="limit >= 1"):
            feed.paginate(SOURCE, limit=limit)


@pytest.mark.parametrize("paginator", [OffsetPaginator, partial(CursorPaginator, ["n"], secret="s")])
def test_a_default_size_above_the_maximum_is_cut_down_to_it(paginator):
    assert paginator(limit=200).paginate(SOURCE).limit == 100
    assert paginator(limit=7, max_limit=6).paginate(SOURCE).limit == 6
    assert paginator(max_limit=6).paginate(SOURCE).limit == 6
    assert paginator(limit=200, max_limit=200).paginate(SOURCE).limit == 200


def test_the_last_page_has_no_next(feed):
    last = feed.last(SOURCE, limit=3)
    assert numbers(last) == [7, 8, 9]
    assert (last.next_cursor, last.has_next, last.has_previous) == (None, False, True)
    assert numbers(feed.paginate(SOURCE, cursor=last.previous_cursor)) == [3, 4, 5, 6]
    whole = CursorPaginator(["n"], secret="s").paginate(SOURCE)
    assert (whole.has_next, whole.has_previous) == (False, False)
    exact = feed.paginate(SequenceSource(ROWS[:4]))
    assert (len(exact.items), exact.has_next) == (4, False)


def test_a_page_emptied_by_deletes_leads_on_both_ways(feed):
    page = feed.paginate(SOURCE)
    left = SequenceSource(ROWS[:4])
    empty = feed.paginate(left, cursor=page.next_cursor)
    assert (empty.items, empty.has_next, empty.has_previous) == ([], False, True)
    assert numbers(feed.paginate(left, cursor=empty.previous_cursor)) == [0, 1, 2, 3]
    middle = feed.paginate(SOURCE, cursor=page.next_cursor)
    right = SequenceSource(ROWS[4:])
    empty = feed.paginate(right, cursor=middle.previous_cursor)
    assert (empty.items, empty.has_next, empty.has_previous) == ([], True, False)
    again = feed.paginate(right, cursor=empty.next_cursor)
    assert numbers(again) == [4, 5, 6, 7]
    assert again.has_previous is False
    nothing = SequenceSource([])
    stranded = feed.paginate(nothing, cursor=empty.next_cursor)
    assert stranded.has_previous is True
    assert numbers(feed.paginate(SOURCE, cursor=stranded.previous_cursor)) == [0, 1, 2, 3]
    assert numbers(feed.last(nothing)) == []


def test_totals_on_request_only(feed):
    assert feed.paginate(SOURCE).total is None
    assert feed.paginate(SOURCE, total=Total.exact()).total == Count(10, "exact")
    assert feed.last(SOURCE, total=Total.capped(9)).total == Count(9, "at_least")
    assert feed.paginate(SOURCE, total=Total.capped(10)).total == Count(10, "exact")
    for total in (True, "exact", 10, Total):
        with pytest.raises(ConfigurationError, match="total to be"):
            feed.paginate(SOURCE, total=total)


def test_scope(feed):
    mine = CursorPaginator(["n"], secret="s", limit=4, scope="me")
    cursor = mine.paginate(SOURCE).next_cursor
    assert numbers(feed.paginate(SOURCE, cursor=cursor, scope="me")) == [4, 5, 6, 7]
    for paginator, scope in ((feed, None), (feed, "you"), (mine, "you")):
        with pytest.raises(InvalidCursor):
            paginator.paginate(SOURCE, cursor=cursor, scope=scope)
    with pytest.raises(ConfigurationError, match="scope"):
        feed.paginate(SOURCE, scope=7)


def test_pages_and_rows(feed):
    pages = list(feed.pages(SOURCE, batch=8))
    assert [numbers(page) for page in pages] == [list(range(8)), [8, 9]]
    assert [row["n"] for row in feed.rows(SOURCE, batch=3)] == list(range(10))
    walk = feed.pages(SOURCE, batch=3, scope="x")
    next(walk)
    stopped = next(walk).next_cursor
    assert [row["n"] for row in feed.rows(SOURCE, batch=2, cursor=stopped, scope="x")] == [6, 7, 8, 9]
    assert list(feed.pages(SequenceSource([]))) == []
    with pytest.raises(InvalidCursor, match="backward"):
        next(feed.pages(SOURCE, cursor=pages[1].previous_cursor))
    with pytest.raises(InvalidCursor):
        next(feed.rows(SOURCE, cursor="x"))
    for batch in (0, None, 1.5, 2**31):
        with pytest.raises(ConfigurationError, match="batch"):
            next(feed.pages(SOURCE, batch=batch))


@pytest.mark.parametrize("source", [None, ROWS, AsyncSequence(ROWS), SimpleNamespace(order=1)])
def test_what_is_no_source(feed, source):
    with pytest.raises(ConfigurationError, match=r"source to be a PageSource"):
        feed.paginate(source)
    with pytest.raises(ConfigurationError, match="source"):
        next(feed.pages(source))
    with pytest.raises(ConfigurationError, match=r"source to be an OffsetSource"):
        OffsetPaginator().paginate(source)


@pytest.mark.anyio
async def test_a_blocking_source_in_an_async_face():
    with pytest.raises(
        ConfigurationError, match="an AsyncPageSource; use CursorPaginator for one that is not"
    ):
        await AsyncCursorPaginator(["n"], secret="s").paginate(SOURCE)
    with pytest.raises(
        ConfigurationError, match="an AsyncOffsetSource; use OffsetPaginator for one that is not"
    ):
        await AsyncOffsetPaginator().paginate(SOURCE)


def test_an_awaited_source_in_a_blocking_face(feed):
    with pytest.raises(
        ConfigurationError, match="a PageSource; use AsyncCursorPaginator for one that is awaited"
    ):
        feed.paginate(AsyncSequence(ROWS))
    with pytest.raises(ConfigurationError, match="use AsyncOffsetPaginator for one that is awaited"):
        OffsetPaginator().paginate(AsyncSequence(ROWS))
    with pytest.raises(ConfigurationError) as caught:
        feed.paginate(None)
    assert str(caught.value) == "expected source to be a PageSource; got None"


@pytest.mark.anyio
async def test_the_async_twin_gives_the_same_pages_and_cursors():
    sync = CursorPaginator(["-half", "n"], secret="s", limit=3)
    twin = AsyncCursorPaginator(["-half", "n"], secret="s", limit=3)
    source = AsyncSequence(ROWS)
    cursor = None
    for _ in range(4):
        page = sync.paginate(SOURCE, cursor=cursor, total=Total.exact())
        assert (await twin.paginate(source, cursor=cursor, total=Total.exact())).to_dict() == page.to_dict()
        cursor = page.next_cursor
    assert (await twin.last(source)).to_dict() == sync.last(SOURCE).to_dict()
    assert [row async for row in twin.rows(source, batch=4)] == list(sync.rows(SOURCE, batch=4))
    assert [p.to_dict() async for p in twin.pages(source)] == [p.to_dict() for p in sync.pages(SOURCE)]
    numbered = await AsyncOffsetPaginator(limit=3, total=Total.exact()).paginate(source, page=2)
    assert (
        numbered.to_dict() == OffsetPaginator(limit=3, total=Total.exact()).paginate(SOURCE, page=2).to_dict()
    )


def test_numbered_pages():
    numbered = OffsetPaginator(limit=4, max_limit=6, max_offset=8, total=Total.exact())
    pages = [numbered.paginate(SOURCE, page=number) for number in (1, 2, 3)]
    assert [numbers(page) for page in pages] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [page.has_next for page in pages] == [True, True, False]
    assert [page.pages for page in pages] == [3, 3, 3]
    assert numbers(numbered.paginate(SOURCE, limit=100)) == [0, 1, 2, 3, 4, 5]
    assert OffsetPaginator(max_offset=10**6).paginate(SOURCE, page=99).items == []
    assert OffsetPaginator().paginate(SOURCE).total is None
    for page in (4, 10**30):
        with pytest.raises(OffsetTooDeep):
            numbered.paginate(SOURCE, page=page)
    with pytest.raises(OffsetTooDeep):
        numbered.paginate(SOURCE, page=4, limit=3)
    for page in (0, -1, True, "2", None, 1.0):
        with pytest.raises(ConfigurationError, match="page >= 1"):
            numbered.paginate(SOURCE, page=page)
    with pytest.raises(ConfigurationError, match="limit"):
        numbered.paginate(SOURCE, limit=0)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("limit", 0), ("max_limit", 0), ("max_offset", -1), ("max_offset", None), ("total", 3), ("on_event", 5)],
)
def test_a_bad_argument_is_refused_at_construction(parameter, value):
    for paginator in (OffsetPaginator, AsyncOffsetPaginator):
        with pytest.raises(ConfigurationError) as caught:
            paginator(**{parameter: value})
        assert caught.value.parameter == parameter


def test_a_hook_that_cannot_be_called_is_refused():
    for paginator in (CursorPaginator, AsyncCursorPaginator):
        with pytest.raises(ConfigurationError, match="on_event to be a callable"):
            paginator(["n"], secret="s", on_event=5)


def test_events(feed):
    heard = []
    loud = CursorPaginator(["n"], secret="s", on_event=heard.append)
    loud.paginate(SOURCE, limit=4)
    loud.last(SOURCE)
    with pytest.raises(InvalidCursor):
        loud.paginate(SOURCE, cursor="x")
    with pytest.raises(ConfigurationError):
        loud.paginate(None)
    numbered = OffsetPaginator(on_event=heard.append, max_offset=0)
    numbered.paginate(SOURCE)
    with pytest.raises(OffsetTooDeep):
        numbered.paginate(SOURCE, page=2)
    assert [(event.name, event.outcome, event.items) for event in heard] == [
        ("page", "ok", 4),
        ("last", "ok", 10),
        ("page", "refused", None),
        ("page", "error", None),
        ("offset", "ok", 10),
        ("offset", "refused", None),
    ]
    assert all(event.block == "pagination" and event.seconds >= 0 for event in heard)


@pytest.mark.anyio
async def test_async_events():
    heard = []
    await AsyncCursorPaginator(["n"], secret="s", on_event=heard.append).paginate(AsyncSequence(ROWS))
    await AsyncOffsetPaginator(on_event=heard.append).paginate(AsyncSequence(ROWS))
    assert [(event.name, event.items) for event in heard] == [("page", 10), ("offset", 10)]


def test_one_paginator_and_source_for_many_threads(feed):
    source = SequenceSource(ROWS)
    wrong = []

    def walk():
        if [row["n"] for row in feed.rows(source, batch=3)] != list(range(10)):
            wrong.append(1)

    threads = [threading.Thread(target=walk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
