"""The pure rule: what an entry is good for at an instant."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scalekit.cache import CachePolicy, Entry
from scalekit.cache._chance import chance, owner
from scalekit.cache._freshness import SERVED, Standing, entry_of, lead_of, standing
from scalekit.cache._raised import Raised

DURATIONS = st.integers(1, 10_000).map(lambda milliseconds: milliseconds / 1_000)
WINDOWS = st.just(0.0) | DURATIONS
NOW = 1_000_000.0
REFUSED = Raised(ValueError("an answer"))


@st.composite
def policies(draw):
    return CachePolicy(
        ttl=draw(DURATIONS),
        none_ttl=draw(st.none() | WINDOWS),
        stale_while_revalidate=draw(WINDOWS),
        stale_if_error=draw(WINDOWS),
        jitter=draw(st.sampled_from([0.0, 0.1, 0.99])),
        early_refresh=draw(st.sampled_from([0.0, 1.0, 5.0])),
        cache_exceptions=(ValueError,),
        exception_ttl=draw(st.none() | DURATIONS),
    )


@given(
    policies(), st.sampled_from(["value", None, REFUSED]), DURATIONS, st.floats(0, 1), st.floats(0, 25_000)
)
def test_an_entry_is_kept_for_exactly_as_long_as_it_is_good_for_something(policy, value, took, place, age):
    entry = entry_of(value, policy, now=NOW, load_seconds=took, chance=place)
    assume(entry.expires > NOW)  # else it is not kept at all
    now = NOW + age
    good_for = standing(entry, policy, now, 1.0)
    if now < entry.fresh_until:
        assert good_for is Standing.FRESH
    elif now - entry.fresh_until < policy.stale_while_revalidate:
        assert good_for is Standing.STALE
    elif now - entry.fresh_until < policy.stale_if_error:
        assert good_for is (Standing.ENDED if value is REFUSED else Standing.RESERVE)
    else:
        assert good_for is Standing.ENDED
    if now >= entry.expires + 1e-6:
        assert good_for is Standing.ENDED
    elif value is not REFUSED and now < entry.expires - 1e-6:
        assert good_for is not Standing.ENDED


def test_the_ends_of_the_windows_are_exact():
    policy = CachePolicy(ttl=8, stale_while_revalidate=4, stale_if_error=16)
    entry = entry_of("value", policy, now=0.0, load_seconds=1.0, chance=0.0)
    assert (entry.fresh_until, entry.expires) == (8.0, 24.0)
    found = {now: standing(entry, policy, now, 1.0) for now in (7.75, 8.0, 11.75, 12.0, 23.75, 24.0)}
    assert list(found.values()) == [
        Standing.FRESH,
        Standing.STALE,
        Standing.STALE,
        Standing.RESERVE,
        Standing.RESERVE,
        Standing.ENDED,
    ]


def test_the_longer_window_says_how_long_an_entry_is_kept():
    for while_, if_, kept in ((4, 16, 16), (16, 4, 16), (0, 0, 0)):
        policy = CachePolicy(ttl=8, stale_while_revalidate=while_, stale_if_error=if_)
        entry = entry_of("value", policy, now=0.0, load_seconds=0.0, chance=0.0)
        assert entry.expires == 8 + kept
        assert (entry.expires is entry.fresh_until) is (kept == 0), "one object: 24 bytes less for each entry"


@pytest.mark.parametrize(
    ("value", "options", "life"),
    [
        ("value", {}, 8),
        (None, {}, 8),
        (None, {"none_ttl": 2}, 2),
        ("value", {"none_ttl": 2}, 8),
        (REFUSED, {}, 8),
        (REFUSED, {"exception_ttl": 3}, 3),
        ("value", {"exception_ttl": 3}, 8),
    ],
)
def test_lifetimes_of_values_of_none_and_of_exceptions(value, options, life):
    policy = CachePolicy(ttl=8, cache_exceptions=(ValueError,), stale_if_error=16, **options)
    entry = entry_of(value, policy, now=0.0, load_seconds=0.0, chance=0.0)
    assert (entry.value, entry.fresh_until, entry.expires) == (value, life, life + 16)


def test_what_lives_for_no_time_has_ended_however_long_stale_values_would_be_kept():
    policy = CachePolicy(ttl=8, none_ttl=0, stale_while_revalidate=60, stale_if_error=60)
    assert entry_of(None, policy, now=NOW, load_seconds=0.0, chance=0.0).expires == NOW


@given(st.floats(0, 1), st.floats(0.0, 0.99))
def test_jitter_shortens_by_its_fraction_at_most(place, jitter):
    policy = CachePolicy(ttl=100, jitter=jitter, stale_if_error=10)
    entry = entry_of("value", policy, now=0.0, load_seconds=0.0, chance=place)
    assert entry.fresh_until == pytest.approx(100 - 100 * jitter * place)
    assert entry.expires - entry.fresh_until == pytest.approx(10)


def test_a_clock_that_goes_back_makes_no_negative_load():
    policy = CachePolicy(ttl=1, early_refresh=1.0)
    assert entry_of("value", policy, now=0.0, load_seconds=-5.0, chance=0.0).load_seconds == 0.0
    assert entry_of("value", policy, now=0.0, load_seconds=5.0, chance=0.0).load_seconds == 5.0
    never = CachePolicy(ttl=1)
    assert entry_of("value", never, now=0.0, load_seconds=5.0, chance=0.0).load_seconds == 0.0, (
        "60 bytes less"
    )


# -- XFetch ----------------------------------------------------------------------------------------


@given(st.floats(0.001, 50), st.floats(0.01, 5), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_read_refreshes_early_with_the_chance_of_the_paper(left, took, beta):
    """Of a `chance` uniform in (0, 1], those below exp(-left / (beta * took)) refresh: that is XFetch."""
    policy = CachePolicy(ttl=100, early_refresh=beta)
    entry = Entry("value", expires=NOW + left, load_seconds=took)
    left = entry.fresh_until - NOW  # as a float of that size has it
    likely = math.exp(-left / (beta * took))
    assume(1e-12 < likely < 1 - 1e-6)
    assert standing(entry, policy, NOW, likely * (1 - 1e-6)) is Standing.EARLY
    assert standing(entry, policy, NOW, likely * (1 + 1e-6)) is Standing.FRESH
    assert standing(entry, policy, NOW, 1.0) is Standing.FRESH


@given(st.floats(0, 1, exclude_min=True), st.floats(0.001, 10))
def test_nothing_is_early_that_is_over_costs_nothing_or_may_not_be(drawn, took):
    ever, never = CachePolicy(ttl=9, early_refresh=1.0), CachePolicy(ttl=9)
    entry = Entry("value", expires=NOW + 1, load_seconds=took)
    assert standing(entry, never, NOW, drawn) is Standing.FRESH
    assert standing(entry, ever, NOW + 1, drawn) is Standing.ENDED
    assert standing(Entry("value", expires=NOW + 1), ever, NOW, drawn) is Standing.FRESH


@given(st.floats(0.001, 10), st.floats(2.1e-9, 1))
def test_before_its_lead_a_wrapper_need_not_ask(took, drawn):
    policy = CachePolicy(ttl=9, early_refresh=2.0)
    entry = Entry("value", expires=NOW + lead_of(policy) * took * 1.001 + 1e-6, load_seconds=took)
    assert standing(entry, policy, NOW, drawn) is Standing.FRESH
    assert lead_of(CachePolicy(ttl=9)) == 0.0


def test_chance_is_from_above_0_to_1_and_owners_are_unique(monkeypatch):
    drawn = [chance() for _ in range(1_000)]
    assert all(0 < number <= 1 for number in drawn)
    assert min(drawn) < 0.1
    assert max(drawn) > 0.9
    assert 0.4 < sum(drawn) / len(drawn) < 0.6
    assert len({owner() for _ in range(100)}) == 100
    for byte, expected in ((b"\0", 2**-53), (b"\xff", 1.0)):
        monkeypatch.setattr("os.urandom", lambda size, byte=byte: byte * size)
        assert chance() == expected
        assert math.log(chance()) <= 0


def test_what_is_served_is_served_without_waiting():
    assert frozenset({Standing.FRESH, Standing.EARLY, Standing.STALE}) == SERVED
