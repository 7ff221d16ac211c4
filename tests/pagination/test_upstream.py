from __future__ import annotations

import pytest

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import (
    AsyncCallableSource,
    AsyncCursorPaginator,
    CallableSource,
    CursorPaginator,
    Order,
    Page,
    PageSource,
    SequenceSource,
    SortKey,
    Total,
    TotalOrder,
    Window,
)
from scalekit.pagination._values import ANY


class Upstream:
    """An API with pages of its own sizes; its tokens are texts that mean nothing to us."""

    def __init__(self, *pages: list[int], token: str = "t-%d é/+="):
        self.cut = pages
        self.token = token
        self.asked: list[tuple[str | None, int]] = []

    def fetch(self, token, limit):
        self.asked.append((token, limit))
        at = 0 if token is None else next(n for n in range(len(self.cut)) if self.token % n == token)
        return self.cut[at], self.token % (at + 1) if at + 1 < len(self.cut) else None

    async def afetch(self, token, limit):
        return self.fetch(token, limit)


def paginator(**options):
    return CursorPaginator(order_by=None, secret="s", limit=3, **options)


def walk(feed, source) -> list[Page]:
    pages = [feed.paginate(source)]
    while pages[-1].next_cursor is not None:
        pages.append(feed.paginate(source, cursor=pages[-1].next_cursor))
    return pages


def test_pages_are_the_upstreams_own_and_lead_forward_only():
    upstream = Upstream([1, 2, 3], [4], [], [5, 6, 7, 8, 9], [])
    pages = walk(paginator(), CallableSource(upstream.fetch))
    assert [page.items for page in pages] == [[1, 2, 3], [4], [], [5, 6, 7, 8, 9], []]
    assert [page.has_next for page in pages] == [True, True, True, True, False]
    assert all(page.previous_cursor is None and page.limit == 3 for page in pages)
    assert upstream.asked == [(None, 3), *[(f"t-{n} é/+=", 3) for n in (1, 2, 3, 4)]]


def test_every_row_is_met_once_across_empty_pages():
    upstream = Upstream([], [1, 2], [], [], [3], [])
    source = CallableSource(upstream.fetch)
    assert list(paginator().rows(source, batch=50)) == [1, 2, 3]
    assert [page.items for page in paginator().pages(source)] == [[1, 2], [3]]
    assert {limit for _, limit in upstream.asked} == {50, 1000}


@pytest.mark.anyio
async def test_the_async_twin_gives_the_same_pages():
    upstream = Upstream([1, 2, 3], [], [4])
    feed = AsyncCursorPaginator(order_by=None, secret="s", limit=3)
    source = AsyncCallableSource(upstream.afetch)
    cursor = None
    for page in walk(paginator(), CallableSource(upstream.fetch)):
        assert (await feed.paginate(source, cursor=cursor)).to_dict() == page.to_dict()
        cursor = page.next_cursor
    assert [item async for item in feed.rows(source)] == [1, 2, 3, 4]
    with pytest.raises(ConfigurationError, match="total None"):
        await feed.paginate(source, total=Total.exact())
    with pytest.raises(ConfigurationError, match="that can be read from its end"):
        await feed.last(source)


def test_a_cursor_is_signed_and_scoped():
    upstream = Upstream([1], [2])
    source = CallableSource(upstream.fetch)
    cursor = paginator().paginate(source, scope="tenant-7").next_cursor
    assert paginator().paginate(source, cursor=cursor, scope="tenant-7").items == [2]
    asked = len(upstream.asked)
    for bad, scope in ((cursor, "tenant-8"), (cursor, None), ("t-1 é/+=", "tenant-7"), ("", "tenant-7")):
        with pytest.raises(InvalidCursor):
            paginator().paginate(source, cursor=bad, scope=scope)
    with pytest.raises(InvalidCursor):
        CursorPaginator(order_by=None, secret="other").paginate(source, cursor=cursor, scope="tenant-7")
    of_a_list = CursorPaginator(["id"], secret="s", limit=1).paginate(
        SequenceSource([{"id": "a"}, {"id": "b"}])
    )
    with pytest.raises(InvalidCursor):
        paginator().paginate(source, cursor=of_a_list.next_cursor)
    assert len(upstream.asked) == asked


@pytest.mark.parametrize(
    "token", ["x", "%", " ", "\0", "é" * 1524, "x" * 3048, "\ud800", "a" * 253, "a" * 255]
)
def test_any_text_is_a_token_and_comes_back_as_it_was(token):
    seen = []

    def fetch(given, limit):
        seen.append(given)
        return [len(seen)], token if given is None else None

    page = paginator().paginate(CallableSource(fetch))
    assert len(page.next_cursor) <= 4096
    assert not paginator().paginate(CallableSource(fetch), cursor=page.next_cursor).has_next
    assert seen == [None, token]


@pytest.mark.parametrize("end", [None, ""])
def test_no_token_and_empty_text_end_the_list(end):
    assert not paginator().paginate(CallableSource(lambda token, limit: ([1], end))).has_next


@pytest.mark.parametrize("token", ["x" * 3049, "é" * 1525])
def test_a_token_that_fits_no_cursor_is_an_error(token):
    with pytest.raises(ConfigurationError, match="expected next token of at most 3048 bytes, not 30"):
        paginator().paginate(CallableSource(lambda _token, _limit: ([1], token)))


@pytest.mark.parametrize("answer", [None, [], [1], ([1],), ([1], None, None), (1, None), "ab", [[1], None]])
def test_an_answer_of_another_form_is_an_error(answer):
    with pytest.raises(ConfigurationError, match=r"expected fetch to return \(items, next token\)"):
        paginator().paginate(CallableSource(lambda token, limit: answer))


@pytest.mark.parametrize("token", [7, b"x", ["x"], False])
def test_a_token_that_is_no_text_is_an_error(token):
    with pytest.raises(ConfigurationError, match="next token to be text, or None"):
        paginator().paginate(CallableSource(lambda _token, _limit: ([1], token)))


@pytest.mark.parametrize("fault", [KeyError("x"), TypeError("theirs"), ValueError("theirs"), TimeoutError()])
def test_the_upstreams_errors_pass_unchanged(fault):
    def fetch(token, limit):
        raise fault

    def lazy(token, limit):
        def items():
            yield 1
            raise fault

        return items(), None

    for each in fetch, lazy:
        with pytest.raises(type(fault)) as caught:
            paginator().paginate(CallableSource(each))
        assert caught.value is fault


def test_what_an_upstream_cannot_do_is_refused():
    source = CallableSource(Upstream([1]).fetch)
    assert isinstance(source, PageSource)
    with pytest.raises(ConfigurationError, match="source that can be read from its end, for last"):
        paginator().last(source)
    with pytest.raises(ConfigurationError, match="total None: the upstream does not say"):
        paginator().paginate(source, total=Total.capped(3))
    with pytest.raises(ConfigurationError, match=r"order_by None: the upstream decides; got \['id'\]"):
        CursorPaginator(["id"], secret="s").paginate(source)
    with pytest.raises(ConfigurationError, match="fetch to be a callable"):
        CallableSource([1, 2])
    with pytest.raises(ConfigurationError, match="fetch to be a callable"):
        AsyncCallableSource(None)
    order = SequenceSource([{"id": 1}]).order(Order(["id"]))
    with pytest.raises(ConfigurationError, match="with an order of this source"):
        source.fetch(Window(order, None, False, 3))


def test_no_order_is_for_sources_that_have_one():
    with pytest.raises(
        ConfigurationError, match="order_by with at least one key, since the source has no order"
    ):
        paginator().paginate(SequenceSource([{"id": 1}]))
    assert not TotalOrder([SortKey("id", False, False, False, ANY)]).forward_only
