from __future__ import annotations

import pytest

from scalekit.errors import ConfigurationError
from scalekit.pagination import CursorPaginator, Key, Order, asc, desc


def test_names_and_keys():
    order = Order(["-created_at", "id", desc("score", nulls="last"), asc("x", nulls="first")])
    assert order.keys == (
        Key("created_at", descending=True),
        Key("id"),
        Key("score", descending=True, nulls="last"),
        Key("x", nulls="first"),
    )
    assert order.append_key is True


@pytest.mark.parametrize(
    "key", ["", "-", "--a", "+a", " a", "a ", 3, None, b"a", ["a"], Key(""), Key("-a"), len]
)
def test_a_key_that_is_none(key):
    with pytest.raises(ConfigurationError, match="order key to be a name or a column expression; got"):
        CursorPaginator([key], secret="s")


@pytest.mark.parametrize("by", ["-a", "", 3])
@pytest.mark.parametrize("make", [asc, desc])
def test_asc_and_desc_take_plain_names(make, by):
    with pytest.raises(ConfigurationError, match="order key"):
        make(by)


@pytest.mark.parametrize("nulls", ["LAST", "", 1, True])
def test_nulls_go_first_or_last(nulls):
    with pytest.raises(ConfigurationError, match='nulls "first", "last" or None; got'):
        desc("a", nulls=nulls)
    with pytest.raises(ConfigurationError, match="nulls"):
        CursorPaginator([Key("a", nulls=nulls)], secret="s")


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("order_by", [], "at least one key"),
        ("order_by", "a", "a list of keys"),
        ("order_by", 7, "a list of keys"),
        ("append_key", 1, "True or False"),
        ("limit", 0, ">= 1"),
        ("limit", True, ">= 1"),
        ("limit", 2.0, ">= 1"),
        ("limit", "5", ">= 1"),
        ("limit", None, ">= 1"),
        ("limit", 2**31, "<="),
        ("max_limit", 0, ">= 1"),
        ("max_limit", None, ">= 1"),
        ("scope", 3, "text or None"),
    ],
)
def test_a_bad_argument_is_refused_at_construction(parameter, value, expected):
    arguments = {"order_by": ["a"], "secret": "s", parameter: value}
    with pytest.raises(ConfigurationError, match=expected) as caught:
        CursorPaginator(**arguments)
    assert caught.value.parameter == parameter
