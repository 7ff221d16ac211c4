"""Log and parts side by side, and a key whose plan changes between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, MemoryRateLimitStore, Quota
from scalekit.ratelimit._sliding_log import SlidingLog
from scalekit.ratelimit._sliding_parts import SlidingParts
from scalekit.ratelimit._sliding_window import SlidingWindow, sliding_window

SECOND = 1_000_000
START = 10**12


def quota(text):
    return Quota(Limit(one.limit, one.window, name=str(i)) for i, one in enumerate(Limit.parse_many(text)))


MIXED = ["5/s; 600/5s", "600/5s; 5/s", "900/9s; 5/s; 600/5s", "600/2s; 900/9s", "5/s; 600/3s; 12/2s"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hit"] * 5 + ["peek", "refund"]),
        st.sampled_from([1, 2, 5, 6, 300]),
        st.sampled_from([0, 1, 200_000, 999_999, 1_000_000, 3_000_000, 9_000_000, -5, -1_000_000]),
    ),
    max_size=50,
)


@pytest.mark.parametrize("text", MIXED)
@given(steps=STEPS)
def test_each_limit_is_judged_by_its_own_rule_and_all_are_written_or_none(text, steps):
    """The oracle is a state per limit that is written only when all of them admit."""
    whole = quota(text)
    state, now = sliding_window(whole), START
    assert isinstance(state, SlidingWindow)
    singles = [(one, sliding_window(one)) for one in (Quota([limit]) for limit in whole.limits)]
    for step, cost, passed in steps:
        now += passed
        if step == "refund":
            state.refund(cost)
            for _, single in singles:
                single.refund(cost)
            continue
        verdict = getattr(state, step)(whole, cost, now)
        told = [single.peek(one, cost, now) for one, single in singles]
        allowed = all(one.allowed for one in told)
        assert verdict.allowed == allowed
        if allowed and step == "hit":
            told = [single.hit(one, cost, now) for one, single in singles]
        assert verdict.retry == tuple(one.retry[0] for one in told)
        assert verdict.remaining == tuple(one.remaining[0] for one in told)
        assert verdict.reset == tuple(one.reset[0] for one in told)
        assert state.expired(now) == all(single.expired(now) for _, single in singles)
        assert state.used(now) == max(single.used(now) for _, single in singles)
        assert state.blocked(now) == max(single.peek(one, 1, now).retry[0] for one, single in singles)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("512/m", SlidingLog),
        ("1/s; 512/m", SlidingLog),
        ("513/m", SlidingParts),
        ("1/s; 513/m", SlidingWindow),
        ("513/m; 513/h", SlidingWindow),
    ],
)
def test_the_smallest_state_that_serves(text, kind):
    assert type(sliding_window(quota(text))) is kind


PLANS = ["5/s", "9/3s", "600/3s", "4/s; 700/9s", "800/s", "70000/9s; 600/3s", "800/9s; 3/3s", "200000/3s"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(PLANS) - 1),
            st.sampled_from([1, 1, 2, 5, 590, 597]),
            st.sampled_from([0, 0, 1, 250_000, 1_000_000, 3_000_000, 9_000_000]),
        ),
        max_size=40,
    )
)
def test_a_change_of_plan_never_forgets_a_window_that_both_have(steps):
    """The plan of a hit holds over all that was consumed since the plan before it, if that had its window."""
    store, admitted, now = MemoryRateLimitStore(), [], START
    plans = [quota(text) for text in PLANS]
    for i, cost, passed in steps:
        now += passed
        plan = plans[i]
        peeked = store.peek("k", plan, cost, now)
        assert store.peek("k", plans[0], 1, now) == store.peek("k", plans[0], 1, now)
        verdict = store.hit("k", plan, cost, now)
        assert (verdict.allowed, verdict.retry) == (peeked.allowed, peeked.retry)
        if not verdict.allowed:
            assert store.peek("k", plan, cost, now) == verdict == peeked
            continue
        admitted.append((now, cost, plan))
        for units, window in plan.spans:
            total, ended = 0, False
            for at, taken, under in reversed(admitted):
                ended = ended or window not in under.windows
                if at > now - window and not ended:
                    total += taken
            assert total <= units


@pytest.mark.parametrize("first", PLANS)
@pytest.mark.parametrize("second", PLANS)
def test_what_was_consumed_stays(first, second):
    """A full window stays full under any plan whose longest window is not longer."""
    store = MemoryRateLimitStore()
    before, after = quota(first), quota(second)
    while store.hit("k", before, 1, START).allowed:
        pass
    used = min(before.units)
    verdict = store.peek("k", after, 1, START + 1)
    for (units, window), left in zip(after.spans, verdict.remaining, strict=True):
        assert left <= max(0, units - used) or window > before.longest
        assert left >= units - used - 3  # steps of 200,000 are four units


@pytest.mark.parametrize(
    ("wide", "narrow"), [("600/m", "5/m"), ("5/s; 600/m", "5/m"), ("600/m; 700/h", "5/h")]
)
def test_a_denial_and_a_peek_under_another_plan_change_nothing(wide, narrow):
    store = MemoryRateLimitStore()
    large, small = quota(wide), quota(narrow)
    store.hit("k", large, 5, START)
    before = store.peek("k", large, 1, START + 1)
    assert not store.hit("k", small, 1, START + 1).allowed
    assert not store.peek("k", small, 1, START + 1).allowed
    assert store.peek("k", large, 1, START + 1) == before


def test_a_log_takes_over_from_parts_what_it_did_not_see():
    """Its ring of two, for 2/s, knows less of the last minute than the parts do."""
    store = MemoryRateLimitStore()
    before, after = quota("2/s; 600/m"), quota("100/m")
    for i in range(10):
        assert store.hit("k", before, 2, START + i * SECOND).allowed
    verdict = store.hit("k", after, 1, START + 10 * SECOND)
    assert verdict.remaining == (79,)
    assert store.hit("k", after, 79, START + 10 * SECOND).allowed
    assert not store.hit("k", after, 1, START + 60 * SECOND).allowed


def test_a_key_that_grew_may_be_refunded_and_reset():
    store = MemoryRateLimitStore()
    small, large = quota("5/m"), quota("5/s; 600/m")
    store.hit("k", small, 2, START)
    store.hit("k", large, 1, START + 1)
    assert store.peek("k", large, 1, START + 1).remaining == (2, 597)
    store.refund("k", large, 2, START + 1)
    assert store.peek("k", large, 1, START + 1).remaining == (4, 599)
    store.reset("k")
    assert store.peek("k", large, 1, START + 1).remaining == (5, 600)
    assert store.hit("k", large, 5, START + 1).remaining == (0, 595)
