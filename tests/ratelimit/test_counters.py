"""The counting rules against naive oracles that keep every admission and compute in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._fixed_window import FixedWindow
from scalekit.ratelimit._gcra import Gcra
from scalekit.ratelimit._quota import NEVER
from scalekit.ratelimit._sliding_counter import SlidingCounter
from scalekit.ratelimit._state import fresh, predecessors

SECOND = 1_000_000
START = 10**12


class NaiveFixed:
    """Units consumed since the last multiple of the window."""

    def used(self, admitted, window, now):
        return sum(cost for at, cost in admitted if at >= now - now % window)


class NaiveCounter:
    """Those, and of the window before as much as a window that ends now still covers, rounded up."""

    def used(self, admitted, window, now):
        start = now - now % window
        current = sum(cost for at, cost in admitted if at >= start)
        before = sum(cost for at, cost in admitted if start - window <= at < start)
        return current + ceil(Fraction(before * (window - now % window), window))


class NaiveBucket:
    """A leaky bucket, drained by one interval per unit; `used` is its level in units, rounded up."""

    def __init__(self, units):
        self.units = units

    def used(self, admitted, window, now):
        level, latest = Fraction(0), 0
        for at, cost in admitted:
            level = max(Fraction(0), level - Fraction((at - latest) * self.units, window)) + cost
            latest = at
        return ceil(max(Fraction(0), level - Fraction((now - latest) * self.units, window)))


RULES = {
    "fixed-window": (FixedWindow, lambda units: NaiveFixed()),
    "sliding-counter": (SlidingCounter, lambda units: NaiveCounter()),
    "gcra": (Gcra, NaiveBucket),
    "token-bucket": (Gcra, NaiveBucket),
}


def quota(algorithm, *pairs):
    limits = [Limit(units, window / SECOND, name=str(i)) for i, (units, window) in enumerate(pairs)]
    return Quota(limits, algorithm)


# Windows that their units divide: there an interval is a whole number, and no rounding tells them apart.
PAIRS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 4)).map(lambda pair: (pair[0], pair[0] * pair[1])),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 2, 3, 7]),
        st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 13, -1, -4]),
        st.sampled_from(["hit", "hit", "hit", "peek"]),
    ),
    max_size=60,
)


@pytest.mark.parametrize("algorithm", RULES)
@given(pairs=PAIRS, steps=STEPS)
def test_every_answer_is_that_of_the_naive_rule(algorithm, pairs, steps):
    rule, naive_of = RULES[algorithm]
    one = quota(algorithm, *pairs)
    state, admitted, now, latest = rule(one), [], START, 0
    naive = [naive_of(units) for units, _ in one.spans]

    def used(moment):
        at = max(moment, latest)
        return [
            oracle.used(admitted, window, at) for oracle, (_, window) in zip(naive, one.spans, strict=True)
        ]

    def admits(moment, cost):
        return [count + cost <= units for count, units in zip(used(moment), one.units, strict=True)]

    for cost, passed, step in steps:
        now += passed
        before, expected = used(now), admits(now, cost)
        verdict = getattr(state, step)(one, cost, now)
        assert verdict.allowed == all(expected)
        assert [wait == 0 for wait in verdict.retry] == expected
        for i, wait in enumerate(verdict.retry):
            assert (wait == NEVER) == (cost > one.units[i])
            if wait > 0:  # the first moment at which this limit admits it
                assert admits(now + wait, cost)[i]
                assert not admits(now + wait - 1, cost)[i]
        taken = 0
        if step == "hit" and verdict.allowed:
            latest, taken = max(now, latest), cost
            admitted.append((latest, cost))
        assert verdict.remaining == tuple(
            max(0, units - count - taken) for units, count in zip(one.units, before, strict=True)
        )
        for i, reset in enumerate(verdict.reset):
            assert used(now + reset)[i] == 0
            if reset and now + reset - 1 >= latest:
                assert used(now + reset - 1)[i] > 0
        assert state.expired(now) == (not any(used(now)))
        assert state.used(now) == max(used(now))


@pytest.mark.parametrize("algorithm", RULES)
@given(pairs=PAIRS, steps=STEPS)
def test_a_refund_right_after_a_hit_undoes_it(algorithm, pairs, steps):
    one = quota(algorithm, *pairs)
    state, now = fresh(one), START
    for cost, passed, _ in steps:
        now += abs(passed)
        before = state.peek(one, 1, now)
        if state.hit(one, cost, now).allowed:
            state.refund(cost)
            assert state.peek(one, 1, now) == before
            state.hit(one, cost, now)


@pytest.mark.parametrize("algorithm", RULES)
def test_a_refund_banks_nothing(algorithm):
    one = quota(algorithm, (3, 3 * SECOND), (5, 10 * SECOND))
    state = fresh(one)
    state.refund(4)
    state.hit(one, 2, START)
    state.refund(1_000)
    assert state.peek(one, 1, START).remaining == (3, 5)
    assert state.expired(START)


@pytest.mark.parametrize("algorithm", RULES)
def test_a_peek_under_another_plan_changes_nothing(algorithm):
    small, large = quota(algorithm, (3, 60 * SECOND)), quota(algorithm, (50, 60 * SECOND), (9, SECOND))
    state = fresh(large)
    state.hit(large, 8, START)
    before = state.peek(large, 1, START)
    assert state.peek(small, 1, START).remaining == (0,)
    assert not state.hit(small, 1, START).allowed
    assert state.peek(large, 1, START) == before


@pytest.mark.parametrize("algorithm", RULES)
def test_a_change_of_plan_keeps_what_was_consumed(algorithm):
    minute, more = quota(algorithm, (6, 60 * SECOND)), quota(algorithm, (5, SECOND), (60, 3600 * SECOND))
    state = fresh(minute)
    state.hit(minute, 4, START)
    verdict = state.hit(more, 1, START)
    assert verdict.remaining == (0, 55)


@pytest.mark.parametrize("algorithm", RULES)
def test_clear_and_blocked(algorithm):
    one = quota(algorithm, (2, 2 * SECOND))
    state = fresh(one)
    assert state.expired(START)
    assert state.blocked(START) == 0
    state.hit(one, 2, START)
    assert state.blocked(START) == state.peek(one, 1, START).retry[0] > 0
    state.clear()
    assert state.expired(START)
    assert state.hit(one, 2, START - 10 * SECOND).allowed


@pytest.mark.parametrize("algorithm", RULES)
@given(
    units=st.integers(1, 2**31),
    window=st.integers(1, 2**52),
    passed=st.integers(0, 2**40),
    share=st.floats(0, 1),
)
def test_retry_is_tight_for_any_limit(algorithm, units, window, passed, share):
    """Just before it a hit is denied, at it admitted, whatever the rounding."""
    one = quota(algorithm, (units, window))
    state = fresh(one)
    assert state.hit(one, units, START).allowed
    cost = max(1, round(units * share))
    now = START + passed
    denied = state.peek(one, cost, now)
    if not denied.allowed:
        wait = denied.retry[0]
        assert state.peek(one, cost, now + wait).allowed
        assert not state.peek(one, cost, now + wait - 1).allowed


def test_a_bucket_loses_nothing_to_rounding():
    """A billion units a second are an interval of a thousandth of a microsecond."""
    one = quota("gcra", (10**9, SECOND))
    state = Gcra(one)
    assert state.hit(one, 10**9, START).allowed
    assert state.peek(one, 1, START + 1).remaining[0] in {999, 1_000}
    assert state.peek(one, 1, START + SECOND).remaining[0] > 10**9 - 1_000
    assert state.peek(one, 1, START + SECOND + 1).remaining[0] == 10**9


def test_a_bucket_is_not_filled_faster_than_its_limit_says():
    """An interval that were rounded down would give 500 units too many in half of this window."""
    units, window = 2**31 - 1, 2**51 + 2**20
    one = quota("gcra", (units, window))
    state = Gcra(one)
    assert state.hit(one, units, START).allowed
    assert units // 2 - 1_100 < state.peek(one, 1, START + window // 2).remaining[0] <= units // 2


def test_a_refund_reaches_back_into_the_window_before():
    one = quota("sliding-counter", (9, 9))
    state, start = SlidingCounter(one), 9 * 10**6
    state.hit(one, 5, start)
    state.hit(one, 1, start + 9)
    state.refund(4)
    assert state.used(start + 9) == 2
    assert state.used(start + 9 + 5) == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([(5, 10)], [(5, 10)], [0]),
        ([(5, 10), (9, 60)], [(7, 60), (2, 10)], [1, 0]),
        ([(5, 10), (9, 60)], [(7, 30), (7, 3), (7, 90)], [1, 0, 1]),
        ([(5, 10), (6, 10)], [(1, 10)], [0]),
    ],
)
def test_predecessors(old, new, expected):
    assert predecessors(tuple(old), tuple(new)) == expected
