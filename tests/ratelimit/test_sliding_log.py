"""The rule against a naive oracle: the list of the times at which a unit was admitted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._quota import NEVER
from scalekit.ratelimit._sliding_log import SlidingLog

SECOND = 1_000_000
START = 10**12


class Naive:
    """Every admission, for ever; time does not run backwards."""

    def __init__(self):
        self.units = []
        self.latest = 0

    def used(self, window, now):
        return sum(1 for at in self.units if at > now - window)

    def at(self, now):
        return max(now, self.latest)

    def admits(self, quota, cost, now):
        return all(self.used(window, self.at(now)) + cost <= units for units, window in quota.spans)

    def hit(self, quota, cost, now):
        admitted = self.admits(quota, cost, now)
        if admitted:
            self.latest = self.at(now)
            self.units += [self.latest] * cost
        return admitted


def quota(*pairs):
    return Quota([Limit(units, window / SECOND, name=str(i)) for i, (units, window) in enumerate(pairs)])


QUOTAS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), min_size=1, max_size=3).map(
    lambda pairs: quota(*pairs)
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hit"] * 6 + ["peek", "refund"]),
        st.sampled_from([1, 1, 1, 2, 3, 7]),
        st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 13, -1, -4]),
    ),
    max_size=60,
)


@given(QUOTAS, STEPS)
def test_every_answer_is_that_of_the_naive_log(quota, steps):
    log, naive, now = SlidingLog(quota), Naive(), START
    for step, cost, passed in steps:
        now += passed
        before = [naive.used(window, naive.at(now)) for _, window in quota.spans]
        if step == "refund":
            log.refund(cost)
            naive.units = naive.units[:-cost]
            continue
        expected = naive.hit(quota, cost, now) if step == "hit" else naive.admits(quota, cost, now)
        verdict = getattr(log, step)(quota, cost, now)
        assert verdict.allowed == expected
        taken = cost if expected and step == "hit" else 0
        assert verdict.remaining == tuple(
            units - used - taken for (units, _), used in zip(quota.spans, before, strict=True)
        )
        for (units, window), used, retry, reset in zip(
            quota.spans, before, verdict.retry, verdict.reset, strict=True
        ):
            assert (retry == 0) == (used + cost <= units)
            assert (retry == NEVER) == (cost > units)
            assert (reset == 0) == (used + taken == 0)
            if reset:
                assert naive.used(window, now + reset) == 0 < naive.used(window, now + reset - 1)
        if not expected and NEVER not in verdict.retry:
            wait = max(verdict.retry)
            assert naive.admits(quota, cost, now + wait)
            assert not naive.admits(quota, cost, now + wait - 1)


@given(QUOTAS, STEPS)
def test_no_window_ever_holds_more_than_its_limit(quota, steps):
    log, admitted, now = SlidingLog(quota), [], START
    for _, cost, passed in steps:
        now += abs(passed)
        if log.hit(quota, cost, now).allowed:
            admitted += [now] * cost
    for units, window in quota.spans:
        for end in admitted:
            assert sum(1 for at in admitted if end - window < at <= end) <= units


@given(QUOTAS, QUOTAS, STEPS)
def test_a_change_of_quota_keeps_what_was_consumed(first, second, steps):
    """A second quota that reaches no further back than the first sees all that the first let in."""
    both = Quota([*first.limits, Limit(max(first.largest, second.largest), "1m", name="far")])
    log, naive, now = SlidingLog(both), Naive(), START
    for i, (_, cost, passed) in enumerate(steps):
        now += abs(passed)
        used = both if i % 3 else Quota([*second.limits, both.limits[-1]])
        assert log.hit(used, cost, now).allowed == naive.hit(used, cost, now)


@given(st.integers(1, 4), st.lists(st.integers(1, 12), min_size=1, max_size=3), STEPS)
def test_single_limits_in_turn_are_each_judged_by_their_own_window(units, windows, steps):
    quotas = [quota((units, window)) for window in [12, *windows]]
    log, naive, now = SlidingLog(quotas[0]), Naive(), START
    for i, (_, cost, passed) in enumerate(steps):
        now += abs(passed)
        used = quotas[i // 5 % len(quotas)]
        assert log.hit(used, cost, now).allowed == naive.hit(used, cost, now)
        assert log.used(now) == min(units, naive.used(12, now))


def test_a_smaller_plan_does_not_make_the_larger_one_forget():
    small, large = quota((2, SECOND)), quota((6, 60 * SECOND))
    log = SlidingLog(large)
    assert log.hit(large, 5, START).allowed
    assert not log.hit(small, 1, START).allowed
    assert log.peek(small, 1, START).remaining == (0,)
    assert log.hit(small, 2, START + SECOND).allowed
    assert not log.peek(large, 1, START + SECOND).allowed


def test_a_shorter_plan_does_not_make_the_longer_one_forget():
    short, long = quota((2, SECOND)), quota((6, 60 * SECOND))
    log = SlidingLog(long)
    log.hit(long, 1, START)
    log.hit(short, 1, START + 2 * SECOND)
    assert log.peek(long, 1, START + 2 * SECOND).remaining == (4,)


@pytest.mark.parametrize("one", [quota((1, 10)), quota((1, 10), (9, 11))])
def test_a_refund_does_not_turn_the_clock_back(one):
    """The unit of START had left the window when the refunded one came in, and its time is gone."""
    log = SlidingLog(one)
    assert log.hit(one, 1, START).allowed
    assert log.hit(one, 1, START + 13).allowed
    log.refund(1)
    verdict = log.hit(one, 1, START + 9)
    assert verdict.allowed
    assert verdict.reset[0] == 13 + 10 - 9


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=80))
def test_memory_is_bounded_by_what_still_counts(steps):
    one = quota((50, 4))
    log, naive, now = SlidingLog(one), Naive(), START
    peak = 1
    for cost, passed in steps:
        now += passed
        log.hit(one, cost, now)
        naive.hit(one, cost, now)
        peak = max(peak, log.used(now))
        assert log.used(now) == naive.used(4, now)
        assert len(log._times) <= min(50, 2 * peak + 40)


def test_a_quiet_key_does_not_grow():
    one = quota((70_000, SECOND))
    log = SlidingLog(one)
    for i in range(1_000):
        assert log.hit(one, 1, START + i * SECOND).allowed
    assert len(log._times) == 1


def test_expiry_and_clear():
    one = quota((2, 10), (3, 30))
    log = SlidingLog(one)
    assert log.expired(START)
    log.hit(one, 2, START)
    assert not log.expired(START + 29)
    assert log.expired(START + 30)
    assert log.blocked(START) == 10
    log.clear()
    assert log.expired(START)
    assert log.hit(one, 2, START).allowed


def test_quota_extremes_and_repr():
    one = quota((2, 10), (3, 30))
    assert (one.smallest, one.largest, one.longest, one.algorithm) == (2, 3, 30, "sliding-window")
    assert "sliding-window" in repr(one)
    verdict = SlidingLog(one).peek(one, 1, START)
    assert repr(verdict) == "Verdict(allowed=True, remaining=(2, 3), reset=(0, 0), retry=(0, 0))"
    assert verdict != "verdict"
    assert len({verdict, SlidingLog(one).peek(one, 1, START)}) == 1
