"""Durations: what is accepted means what it says, and everything else is a `ConfigurationError`."""

from __future__ import annotations

import math
import re
import sys
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import ModuleType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalekit._time import seconds
from scalekit.errors import ConfigurationError

UNITS = {
    "w": 604_800,
    "d": 86_400,
    "h": 3_600,
    "m": 60,
    "s": 1,
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
}
LONGEST = 10**11
HINT = "as a duration: seconds, a timedelta, or text like '250ms', '15m', '1h30m'"


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("15m", 900.0),
        ("4h", 14_400.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("1h30m", 5_400.0),
        ("1m30ms", 60.03),
        ("5m5s5ms5us", 305.005005),
        ("1.5s", 1.5),
        ("0h1s", 1.0),
        ("007s", 7.0),
        (1, 1.0),
        (0.05, 0.05),
        (5e-324, 5e-324),
        (1e11, 1e11),
        (timedelta(minutes=15), 900.0),
        (timedelta(microseconds=1), 1e-6),
    ],
)
def test_a_duration_is_seconds_a_timedelta_or_text(duration, expected):
    value = seconds(duration, "ttl")
    assert value == expected
    assert type(value) is float


@st.composite
def composed_texts(draw):
    """A text, and its meaning in exact arithmetic."""
    units = draw(st.lists(st.sampled_from(list(UNITS)), min_size=1, unique=True))
    text, exact = "", Fraction(0)
    for unit in sorted(units, key=list(UNITS).index):
        number = str(draw(st.integers(0, 9_999)))
        if draw(st.booleans()):
            number += "." + draw(st.from_regex(r"[0-9]{1,9}", fullmatch=True))
        text += number + unit
        exact += Fraction(number) * UNITS[unit]
    return text, exact


@given(composed_texts())
@example(("5m", Fraction(300)))
@example(("5ms", Fraction(1, 200)))
@example(("1m1ms", Fraction(60_001, 1_000)))
def test_a_composed_text_is_the_sum_of_its_parts(composed):
    text, exact = composed
    value = seconds(text, "ttl", allow_zero=True)
    assert math.isclose(value, exact, rel_tol=1e-14, abs_tol=0.0)


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=1_000_000)))
def test_a_timedelta_means_the_same_as_its_text(delta):
    text = f"{delta.days}d{delta.seconds}s{delta.microseconds}us"
    assert math.isclose(seconds(delta, "ttl"), seconds(text, "ttl"), rel_tol=1e-14)


@given(st.floats(min_value=0.0, max_value=1e11, exclude_min=True))
def test_a_number_is_taken_as_it_is(number):
    assert seconds(number, "ttl") == number


NONSENSE = [
    "",
    " ",
    " 5s",
    "5s ",
    "5s\n",
    "5 s",
    "5",
    "s",
    ".5s",
    "5.s",
    "1e3s",
    "+5s",
    "-5s",
    "5 parsecs",
    "5S",
    "5M",
    "1s1m",
    "1ms1s",
    "1s1s",
    "1h30",
    "1,5s",
    "inf",
    "nan",
    "infs",
    "1_000s",
    "0x5s",
    "\N{ARABIC-INDIC DIGIT FIVE}s",  # \d matches it in Unicode mode
    "\N{FULLWIDTH DIGIT FIVE}s",
    "5\N{LATIN SMALL LETTER LONG S}",  # `s`, when case is ignored
    "5\x00s",
    "9" * 16 + "s",
    "9" * 100_000 + "s",
    "1.0000000001s",
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    -(10**400),
    10**5_000,
    True,
    False,
    None,
    b"5s",
    bytearray(b"5s"),
    Decimal(5),
    Fraction(5),
    5 + 0j,
    [],
    ["5s"],
    {"s": 5},
    object(),
    lambda: 5,
    float,
]


@pytest.mark.parametrize(
    "nonsense", NONSENSE, ids=lambda value: f"{value!r:.20}" if type(value) is not int else "int"
)
@pytest.mark.parametrize("allow_zero", [False, True])
def test_nonsense_is_refused_with_what_was_expected(nonsense, allow_zero):
    with pytest.raises(ConfigurationError) as caught:
        seconds(nonsense, "ttl", allow_zero=allow_zero)
    error = caught.value
    assert (error.parameter, error.expected) == ("ttl", HINT)
    assert error.value is nonsense
    assert str(error).startswith(f"expected ttl {HINT}; got ")
    assert len(str(error)) < 400


@pytest.mark.parametrize("negative", [-1, -1e-9, -5e-324, timedelta(microseconds=-1), timedelta.min])
@pytest.mark.parametrize(("allow_zero", "expected"), [(False, "> 0 seconds"), (True, ">= 0 seconds")])
def test_time_does_not_go_back(negative, allow_zero, expected):
    with pytest.raises(ConfigurationError) as caught:
        seconds(negative, "timeout", allow_zero=allow_zero)
    assert str(caught.value) == f"expected timeout {expected}; got {negative!r}"
    assert caught.value.value is negative


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, "0s", "0.0ms", "0w0us", timedelta(0)])
def test_zero_is_a_duration_only_where_it_is_allowed(zero):
    assert seconds(zero, "settle", allow_zero=True) == 0.0
    with pytest.raises(ConfigurationError, match=r"^expected settle > 0 seconds; got "):
        seconds(zero, "settle")


@pytest.mark.parametrize(
    "endless",
    [LONGEST + 1, math.nextafter(LONGEST, math.inf), 1e308, "999999999999s", "999999999w", timedelta.max],
)
def test_a_duration_longer_than_three_thousand_years_is_refused(endless):
    with pytest.raises(ConfigurationError) as caught:
        seconds(endless, "ttl")
    assert str(caught.value) == f"expected ttl <= 100000000000 seconds; got {endless!r}"


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.binary(),
        st.integers(),
        st.floats(),
        st.timedeltas(),
        st.text(),
        st.text(alphabet="0123456789.wdhmsu+-e \n", max_size=12),
        st.lists(st.integers()),
    )
)
@settings(max_examples=200)
def test_whatever_comes_is_a_duration_or_a_configuration_error(anything):
    refusal = None
    try:
        value = seconds(anything, "ttl")
    except ConfigurationError as error:
        refusal = error
    if refusal is None:
        assert type(value) is float
        assert 0 < value <= LONGEST
    else:
        assert refusal.parameter == "ttl"
        assert re.match(r"expected ttl .+; got .", str(refusal))


@pytest.mark.parametrize("loaded", [None, ModuleType("datetime")], ids=["not loaded", "being loaded"])
def test_datetime_need_not_be_loaded(monkeypatch, loaded):
    monkeypatch.setitem(sys.modules, "datetime", loaded)
    assert seconds("1m", "ttl") == 60
    with pytest.raises(ConfigurationError, match="ttl as a duration"):
        seconds(Decimal(1), "ttl")
