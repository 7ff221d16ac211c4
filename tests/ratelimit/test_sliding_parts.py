"""Parts against naive oracles: the list of all admissions, exact and by parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._quota import NEVER
from scalekit.ratelimit._sliding_parts import PARTS, SlidingParts
from scalekit.ratelimit._sliding_window import sliding_window
from scalekit.ratelimit._state import OtherRule

SECOND = 1_000_000
START = 10**12 + 1
PART = 3  # microseconds
WINDOW = PARTS * PART - 1  # one short of whole parts, which are then 3 microseconds still


def quota(units, window):
    return Quota([Limit(units, window / SECOND)])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hit"] * 6 + ["peek", "refund"]),
        st.sampled_from([1, 1, 1, 2, 3, 7]),
        st.sampled_from([0, 0, 1, 1, 2, 3, 4, 40, 200, WINDOW - 1, WINDOW, WINDOW + 2, 2000, -1, -300]),
    ),
    max_size=60,
)


@given(st.integers(1, 9), STEPS)
def test_every_answer_is_that_of_the_naive_parts(units, steps):
    one = quota(units, WINDOW)
    state, admitted, now, latest = SlidingParts(one), [], START, 0

    def used(moment):
        at = max(moment, latest)
        return sum(1 for t in admitted if t // PART * PART + PART - 1 + WINDOW > at)

    for step, cost, passed in steps:
        now += passed
        if step == "refund":
            state.refund(cost)
            admitted = admitted[:-cost]
            continue
        before = used(now)
        verdict = getattr(state, step)(one, cost, now)
        assert verdict.allowed == (before + cost <= units)
        taken = 0
        if step == "hit" and verdict.allowed:
            latest, taken = max(now, latest), cost
            admitted += [latest] * cost
        assert verdict.remaining == (units - before - taken,)
        (wait,), (reset,) = verdict.retry, verdict.reset
        assert (wait == NEVER) == (cost > units)
        assert (wait == 0) == verdict.allowed
        if wait > 0:
            assert used(now + wait) + cost <= units < used(now + wait - 1) + cost
        assert (reset == 0) == (used(now) == 0)
        if reset:
            assert used(now + reset) == 0 < used(now + reset - 1)
        assert state.used(now) == used(now)
        assert state.expired(now) == (used(now) == 0)


LARGE = st.integers(1, 500_000)
BURSTS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 2, 3, 30, 100, WINDOW - 1, WINDOW, 700])), max_size=60
)


@given(LARGE, BURSTS)
def test_no_window_ever_holds_more_than_its_limit(units, bursts):
    """Whatever the steps round, it is to the safe side, and by less than one step."""
    one = quota(units, WINDOW)
    state, admitted, now = SlidingParts(one), [], START
    step = -(-units // 65_535)
    for share, passed in bursts:
        now += passed
        cost = max(1, round(units * share))
        exact = sum(count for at, count in admitted if at > now - WINDOW)
        at_most = sum(count for at, count in admitted if at > now - WINDOW - PART) + step - 1
        used = state.used(now)
        assert exact <= used <= at_most
        verdict = state.hit(one, cost, now)
        if verdict.allowed:
            assert verdict.remaining == (units - used - cost,)
            admitted.append((now, cost))
        else:
            assert at_most + cost > units
    for end, _ in admitted:
        assert sum(count for at, count in admitted if end - WINDOW < at <= end) <= units


@given(LARGE, BURSTS, st.integers(1, 400_000))
def test_a_refund_takes_back_the_newest_and_no_more(units, bursts, refunded):
    one = quota(units, WINDOW)
    state, admitted, now = SlidingParts(one), [], START
    for share, passed in bursts:
        now += passed
        cost = max(1, round(units * share))
        if state.hit(one, cost, now).allowed:
            admitted.append([now, cost])
    state.refund(refunded)
    assert refunded < units or state.expired(now)
    while refunded and admitted:
        taken = min(refunded, admitted[-1][1])
        admitted[-1][1] -= taken
        refunded -= taken
        if not admitted[-1][1]:
            admitted.pop()
    for later in range(now, now + 2 * WINDOW, 7):
        exact = sum(count for at, count in admitted if at > later - WINDOW)
        at_most = sum(count for at, count in admitted if at > later - WINDOW - PART)
        assert exact <= state.used(later) <= at_most + -(-units // 65_535) - 1


def test_the_sums_wrap_around_and_nothing_is_lost():
    one = quota(65_000, WINDOW)
    state, now = SlidingParts(one), START
    for _ in range(40):
        assert state.hit(one, 60_000, now).remaining == (5_000,)
        assert not state.hit(one, 5_001, now + 3).allowed
        assert state.hit(one, 5_000, now + 3).allowed
        now += WINDOW + 2 * PART


@pytest.mark.parametrize("units", [65_535, 65_536, 131_070, 131_071, 10**9])
def test_a_full_limit_is_full(units):
    one = quota(units, WINDOW)
    state = SlidingParts(one)
    assert state.hit(one, 1, START).allowed
    (left,) = state.peek(one, 1, START + 100 * PART).remaining
    assert units - left <= -(-units // 65_535)
    assert state.hit(one, left, START + 100 * PART).allowed
    assert not state.hit(one, 1, START + 101 * PART).allowed


def test_a_window_shorter_than_its_parts_is_exact():
    one = quota(600, 10)
    state = SlidingParts(one)
    assert state.hit(one, 600, START).allowed
    assert state.hit(one, 1, START).retry == (10,)
    assert not state.hit(one, 1, START + 9).allowed
    assert state.hit(one, 1, START + 10).allowed


@pytest.mark.parametrize(
    "other",
    ["600/m; 700/h", "5/m; 600/m", "600/h", "5/m", "200000/m"],
)
def test_it_serves_one_limit_with_the_same_parts_and_steps(other):
    one = Quota(Limit.parse_many("600/m"))
    state = sliding_window(one)
    assert isinstance(state, SlidingParts)
    assert state.hit(one, 500, START).allowed
    for method in (state.hit, state.peek):
        with pytest.raises(OtherRule):
            method(Quota(Limit.parse_many(other)), 1, START)
    larger = Quota(Limit.parse_many("60000/m"))
    assert state.hit(larger, 1, START).remaining == (59_499,)
    assert state.spans == larger.spans


def test_blocked_and_clear():
    one = quota(600, 192 * SECOND)
    state = SlidingParts(one)
    assert state.expired(START)
    assert state.hit(one, 600, START).allowed
    assert state.blocked(START) == state.peek(one, 1, START).retry[0] > 0
    state.clear()
    assert state.expired(START)
    assert state.hit(one, 600, START - 10 * SECOND).allowed
