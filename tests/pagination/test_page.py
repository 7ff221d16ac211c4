from __future__ import annotations

import pickle
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.pagination import Count, OffsetPage, Page, Total

PAGE = Page([1, 2], limit=2, next_cursor="N", previous_cursor="P", total=Count(9, "exact"))


def test_a_page_is_plain_data():
    assert (PAGE.has_next, PAGE.has_previous) == (True, True)
    assert PAGE.to_dict() == {
        "items": [1, 2],
        "next_cursor": "N",
        "previous_cursor": "P",
        "has_next": True,
        "has_previous": True,
        "limit": 2,
        "total": {"value": 9, "kind": "exact"},
    }
    assert pickle.loads(pickle.dumps(PAGE)).to_dict() == PAGE.to_dict()
    assert PAGE.map(str).to_dict() == PAGE.to_dict() | {"items": ["1", "2"]}
    assert (list(PAGE), len(PAGE)) == ([1, 2], 2)
    assert repr(PAGE) == "<Page of 2, has_next=True, has_previous=True>"
    assert bool(Page([], limit=1))
    assert Page([], limit=1).to_dict()["total"] is None
    with pytest.raises(AttributeError):
        PAGE.more = 1


def test_an_offset_page_is_plain_data():
    page = OffsetPage([1, 2], page=3, limit=2, has_next=True, total=Count(7, "exact"))
    assert page.to_dict() == {
        "items": [1, 2],
        "page": 3,
        "pages": 4,
        "limit": 2,
        "offset": 4,
        "has_next": True,
        "has_previous": True,
        "total": {"value": 7, "kind": "exact"},
    }
    assert pickle.loads(pickle.dumps(page)).to_dict() == page.to_dict()
    assert page.map(str).to_dict() == page.to_dict() | {"items": ["1", "2"]}
    assert (list(page), len(page)) == ([1, 2], 2)
    assert repr(page) == "<OffsetPage 3 of 2, has_next=True>"
    first = OffsetPage([], page=1, limit=2, has_next=False)
    assert (bool(first), first.has_previous, first.pages, first.to_dict()["total"]) == (
        True,
        False,
        None,
        None,
    )
    assert OffsetPage([], page=1, limit=2, has_next=False, total=Count(0, "exact")).pages == 0
    assert OffsetPage([], page=1, limit=2, has_next=False, total=Count(8, "at_least")).pages is None


def test_the_link_header_keeps_what_else_the_url_says():
    url = "https://example.com/posts?area=3&cursor=OLD&q=a%26b&curs%6Fr=X#top"
    assert PAGE.link_header(url) == (
        '<https://example.com/posts?area=3&q=a%26b&cursor=N>; rel="next", '
        '<https://example.com/posts?area=3&q=a%26b&cursor=P>; rel="prev"'
    )
    assert Page([], limit=1, next_cursor="N").link_header("/p", cursor_param="page[after]") == (
        '</p?page%5Bafter%5D=N>; rel="next"'
    )
    assert Page([], limit=1).link_header("/p?a=1") == ""


def test_the_link_header_of_numbered_pages():
    page = OffsetPage([1], page=2, limit=1, has_next=True, total=Count(3, "exact"))
    assert page.link_header("/p?page=2&limit=1") == (
        '</p?limit=1&page=3>; rel="next", </p?limit=1&page=1>; rel="prev", '
        '</p?limit=1&page=1>; rel="first", </p?limit=1&page=3>; rel="last"'
    )
    assert OffsetPage([], page=1, limit=1, has_next=False).link_header("/p", page_param="n") == (
        '</p?n=1>; rel="first"'
    )
    assert OffsetPage([], page=1, limit=1, has_next=False, total=Count(0, "exact")).link_header("/p") == (
        '</p?page=1>; rel="first", </p?page=1>; rel="last"'
    )


@given(url=st.text(), parameter=st.text(min_size=1))
def test_no_url_breaks_out_of_the_link_header(url, parameter):
    header = Page([], limit=1, next_cursor="N-_1").link_header(url, cursor_param=parameter)
    match = re.fullmatch(r'<([!-~]*)>; rel="next"', header)
    assert match
    assert not set('<>"\\ ') & set(match[1])
    assert parse_qs(urlsplit("/" + match[1].lstrip("/")).query, keep_blank_values=True)[parameter] == ["N-_1"]


@pytest.mark.parametrize(("url", "parameter"), [(None, "c"), (b"/p", "c"), ("/p", ""), ("/p", None)])
def test_link_header_takes_text(url, parameter):
    with pytest.raises(ConfigurationError, match="text"):
        PAGE.link_header(url, cursor_param=parameter)


def test_totals():
    assert Total.exact().counted(7) == Count(7, "exact")
    assert Total.exact().rows is None
    capped = Total.capped(10)
    assert capped.rows == 11
    assert capped.counted(11) == Count(10, "at_least")
    assert capped.counted(10) == Count(10, "exact")
    assert (repr(Total.exact()), repr(capped)) == ("Total.exact()", "Total.capped(10)")


@pytest.mark.parametrize("cap", [0, -1, True, 1.5, None, "3"])
def test_a_cap_is_a_whole_number(cap):
    with pytest.raises(ConfigurationError, match="cap >= 1"):
        Total.capped(cap)
