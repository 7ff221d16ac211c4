"""A page as a Relay connection and as a JSON:API document."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.pagination import Count, CursorPaginator, Page, SequenceSource, Total

NUMBERS = [{"n": n} for n in range(10)]
SOURCE = SequenceSource(NUMBERS)
FEED = CursorPaginator(["n"], secret="s", limit=4)
PAGE = Page([1, 2], limit=2, next_cursor="N", previous_cursor="P", total=Count(9, "exact"))


def test_a_relay_connection():
    page = FEED.paginate(SOURCE, limit=2)
    first, second = page.cursor_at(0), page.cursor_at(1)
    assert page.to_relay() == {
        "edges": [{"node": {"n": 0}, "cursor": first}, {"node": {"n": 1}, "cursor": second}],
        "pageInfo": {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": first,
            "endCursor": second,
        },
    }
    assert second == page.next_cursor
    last = FEED.last(SOURCE).to_relay()["pageInfo"]
    assert (last["hasNextPage"], last["hasPreviousPage"]) == (False, True)
    assert [edge["node"] for edge in page.map(lambda row: row["n"]).to_relay()["edges"]] == [0, 1]


def test_a_relay_connection_says_the_total_when_it_was_asked_for():
    assert FEED.paginate(SOURCE, total=Total.exact()).to_relay()["totalCount"] == 10
    assert FEED.paginate(SOURCE, total=Total.capped(7)).to_relay()["totalCount"] == 7
    assert FEED.paginate(SequenceSource([]), total=Total.exact()).to_relay()["totalCount"] == 0


def test_an_empty_relay_connection():
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert FEED.paginate(SequenceSource([])).to_relay() == {"edges": [], "pageInfo": info}
    emptied = FEED.paginate(SequenceSource(NUMBERS[:4]), cursor=FEED.paginate(SOURCE).next_cursor)
    assert emptied.to_relay() == {"edges": [], "pageInfo": info | {"hasPreviousPage": True}}
    assert Page([], limit=1).to_relay() == {"edges": [], "pageInfo": info}
    with pytest.raises(ConfigurationError, match="from a paginator"):
        PAGE.to_relay()


def test_a_walk_of_a_relay_client_there_and_back():
    nodes, cursor = [], None
    while True:
        found = FEED.paginate(SOURCE, cursor=cursor, limit=3).to_relay()
        nodes += [edge["node"] for edge in found["edges"]]
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert nodes == NUMBERS
    found = FEED.last(SOURCE, limit=3).to_relay()
    nodes = [edge["node"] for edge in found["edges"]]
    while found["pageInfo"]["hasPreviousPage"]:
        found = FEED.paginate(SOURCE, before=found["pageInfo"]["startCursor"], limit=3).to_relay()
        nodes = [edge["node"] for edge in found["edges"]] + nodes
    assert nodes == NUMBERS


def test_a_jsonapi_document():
    assert PAGE.to_jsonapi(
        "https://example.com/posts?filter[area]=3&page%5Bsize%5D=50&page[after]=OLD#top"
    ) == {
        "data": [1, 2],
        "links": {
            "first": "https://example.com/posts?filter%5Barea%5D=3&page%5Bsize%5D=2",
            "prev": "https://example.com/posts?filter%5Barea%5D=3&page%5Bbefore%5D=P&page%5Bsize%5D=2",
            "next": "https://example.com/posts?filter%5Barea%5D=3&page%5Bafter%5D=N&page%5Bsize%5D=2",
        },
        "meta": {"page": {"total": 9}},
    }
    only = Page([], limit=7).to_jsonapi("/posts?page[before]=X&page[number]=3&sort=-n")
    kept = "/posts?page%5Bnumber%5D=3&sort=-n&page%5Bsize%5D=7"
    assert only == {
        "data": [],
        "links": {"first": kept, "prev": None, "next": None},
        "meta": {"page": {}},
    }
    assert json.loads(json.dumps(only))["links"]["next"] is None
    capped = Page([], limit=1, total=Count(100, "at_least"))
    assert capped.to_jsonapi("/p")["meta"] == {"page": {"estimatedTotal": {"bestGuess": 100}}}
    assert (
        Page([], limit=1).to_jsonapi("http://[::1]:80/p")["links"]["first"].startswith("http://[::1]:80/p?")
    )
    for url in (None, b"/p"):
        with pytest.raises(ConfigurationError, match="url to be text"):
            PAGE.to_jsonapi(url)


def asked(link):
    return dict(parse_qsl(urlsplit(link).query))


def test_a_walk_by_jsonapi_links_there_and_back():
    for key in ("cursor", "before"):
        page = FEED.paginate(SOURCE, limit=3)
        there = [page]
        while (link := page.to_jsonapi("/p?page[size]=3")["links"]["next"]) is not None:
            query = asked(link)
            page = FEED.paginate(SOURCE, cursor=query["page[after]"], limit=int(query["page[size]"]))
            there.append(page)
        assert [row for each in there for row in each.items] == NUMBERS
        back = list(page.items)
        while (link := page.to_jsonapi(link or "/p")["links"]["prev"]) is not None:
            query = asked(link)
            assert query.keys() == {"page[before]", "page[size]"}
            page = FEED.paginate(SOURCE, **{key: query["page[before]"]}, limit=int(query["page[size]"]))
            back = page.items + back
        assert back == NUMBERS


@given(url=st.text())
def test_every_jsonapi_link_is_a_uri(url):
    for link in PAGE.to_jsonapi(url)["links"].values():
        assert re.fullmatch(r"[!-~]*", link)
        assert not set('<>"\\ ') & set(link)
        assert not set("[]") & set(link.partition("?")[2]), "RFC 3986 has no bracket in a query"
        assert asked("/" + link.lstrip("/"))["page[size]"] == "2"


def test_brackets_of_other_parameters_in_the_link_header():
    assert PAGE.link_header("/p?filter[a]=1").startswith("</p?filter%5Ba%5D=1&cursor=N>")


def test_a_page_of_dataclasses():
    @dataclass(frozen=True)
    class Number:
        n: int

        @classmethod
        def of(cls, row):
            return cls(row["n"])

    page = FEED.paginate(SOURCE)
    mapped = page.map(Number.of)
    assert mapped.items[0] == Number(0)
    assert [edge["cursor"] for edge in mapped.to_relay()["edges"]] == [page.cursor_at(at) for at in range(4)]
    assert (mapped.next_cursor, mapped.limit) == (page.next_cursor, page.limit)
