from __future__ import annotations

import math
import pickle
import re
from datetime import timedelta

import limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import NEVER, Limit, MemoryRateLimitStore, Quota

SPACES = st.sampled_from(["", " ", "  ", "\t", "\n"])
UNITS = ["second", "minute", "hour", "day", "month", "year"]


@st.composite
def theirs(draw):
    """A limit as the `limits` package accepts it."""
    unit = draw(st.sampled_from(UNITS)) + draw(st.sampled_from(["", "s"]))
    unit = draw(st.sampled_from([unit, unit.upper(), unit.title()]))
    count = draw(st.one_of(st.just(""), st.integers(1, 999).map(str)))
    per = draw(st.sampled_from(["/", "per", "PER", "Per"]))
    parts = [draw(st.integers(1, 10**9).map(str)), per, count, unit]
    return "".join(draw(SPACES) + part for part in parts) + draw(SPACES)


@given(st.lists(theirs(), min_size=1, max_size=4), st.sampled_from([",", ";", "|", ":;"]))
def test_the_grammar_contains_that_of_limits(parts, separator):
    text = separator.join(parts)
    expected = [(item.amount, item.get_expiry() * 1_000_000) for item in limits.parse_many(text)]
    assert [(limit.limit, limit.microseconds) for limit in Limit.parse_many(text)] == expected


@given(st.text(alphabet="0123456789 /pershourdaymin;,|:\n", max_size=20))
def test_whatever_limits_accepts_is_accepted_alike(text):
    try:
        items = limits.parse_many(text)
    except ValueError:
        return
    zero = any(int(number) == 0 for number in re.findall("[0-9]+", text))
    try:
        ours = Limit.parse_many(text)
    except ConfigurationError:
        assert zero, f"{text!r} is {items}"
    else:
        assert [(o.limit, o.microseconds) for o in ours] == [
            (item.amount, item.get_expiry() * 1_000_000) for item in items
        ]


@pytest.mark.parametrize(
    ("text", "limit", "window"),
    [
        ("10/s", 10, 1),
        ("100/15m", 100, 900),
        ("5/500ms", 5, 0.5),
        ("5/2.5s", 5, 2.5),
        ("5/2.5 second", 5, 2.5),
        ("1/250us", 1, 0.00025),
        ("7/1h30m", 7, 5400),
        ("5 per week", 5, 604_800),
        ("10per2days", 10, 172_800),
        (" 20 / 3 MIN ", 20, 180),
        ("1/month", 1, 30 * 86_400),
        ("1/year", 1, 360 * 86_400),
        ("999999999999999/d", 999_999_999_999_999, 86_400),
    ],
)
def test_grammar(text, limit, window):
    assert Limit.parse(text) == Limit(limit, window)
    assert Limit.parse(text).window == window


def test_the_contract_forms():
    assert Limit.parse("100/15m") == Limit(100, "15m") == Limit(100, timedelta(minutes=15)) == Limit(100, 900)
    many = Limit.parse_many("10/s; 100 per 15 minutes, 5000/day")
    assert many == (Limit(10, "1s"), Limit(100, "15m"), Limit(5000, "1d"))
    assert Limit(20, "1m", name="burst").name == "burst"
    assert Limit(20, "1m").name == "20/m"


@given(st.integers(1, 10**15 - 1), st.integers(1, 10**15))
def test_the_text_of_a_limit_is_that_limit(limit, microseconds):
    one = Limit(limit, microseconds / 1_000_000)
    assert one.microseconds == microseconds
    assert Limit.parse(str(one)) == one


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "10",
            "/s",
            "10/",
            "10//s",
            "-1/s",
            "1.5/s",
            "10/s;",
            ";10/s",
            "10/parsec",
            "10/.5s",
            "1e3/s",
        ),
        *("0/s", "0/15m", "10/0s", "10/0 second", "10/0.0s", "10/-5s", "10/nan", "10/s 5/m", "10/inf", "٣/s"),
        *(
            "10/1m1h",
            "10/0.0000001s",
            "9" * 16 + "/s",
            "1/" + "9" * 15 + "y",
            None,
            10,
            True,
            math.nan,
            b"10/s",
        ),
    ],
)
def test_bad_text_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"expected .*; got "):
        Limit.parse_many(text)


@pytest.mark.parametrize("limit", [0, -1, True, False, 1.0, math.nan, math.inf, "10", None, 10**15])
def test_bad_limits_are_refused(limit):
    with pytest.raises(ConfigurationError, match=r"expected limit .*; got ") as caught:
        Limit(limit, "1s")
    assert caught.value.parameter == "limit"
    assert caught.value.value is limit


@pytest.mark.parametrize(
    "window", [0, -1, True, math.nan, math.inf, "", "0s", "x", None, 1e-7, 1e12, timedelta(0)]
)
def test_bad_windows_are_refused(window):
    with pytest.raises(ConfigurationError, match=r"expected window .*; got ") as caught:
        Limit(1, window)
    assert caught.value.parameter == "window"


@pytest.mark.parametrize("name", ["", "é", "a\n", "x" * 65, 5, b"x", True])
def test_bad_names_are_refused(name):
    with pytest.raises(ConfigurationError, match=r"expected name .*; got "):
        Limit(1, "1s", name=name)


def test_parse_takes_one():
    with pytest.raises(ConfigurationError, match="as a single limit"):
        Limit.parse("10/s; 5/m")


def test_a_limit_is_a_value():
    one = Limit(10, "1s", name="burst")
    with pytest.raises(AttributeError, match="cannot be changed"):
        one.limit = 11
    with pytest.raises(AttributeError, match="cannot be changed"):
        del one.limit
    assert one == pickle.loads(pickle.dumps(one)) != Limit(10, "1s")
    assert len({one, Limit(10, "1s", name="burst"), Limit(10, "1s"), Limit.parse("10/s")}) == 2
    assert one != "10/s"
    assert (repr(one), repr(Limit(10, "1s"))) == ("<Limit 10/s 'burst'>", "<Limit 10/s>")
    assert Limit.parse("1/2562h").microseconds == 2562 * 3_600_000_000


@pytest.mark.parametrize(
    "limits", [5, None, True, "5/s", ["5/s"], [5], [Limit(5, "1s"), "1/m"], [], Limit(5, "1s")]
)
def test_a_quota_of_anything_else_than_limits_is_refused(limits):
    with pytest.raises(ConfigurationError, match=r"expected limits .*; got "):
        Quota(limits)


def test_never_is_what_a_store_says_of_a_cost_above_the_limit():
    assert MemoryRateLimitStore().hit("k", Quota([Limit(2, "1s")]), 3, 0).retry == (NEVER,)
