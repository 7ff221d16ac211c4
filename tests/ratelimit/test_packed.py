"""A state that went through bytes answers as the one that did not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._packed import packed, restored
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit._state import OtherRule, fresh, succeeding

START = 10**12
# All reach back equally far: beyond that a state may remember more than it packs.
PLANS = ["5/9s", "5/3s; 9/9s", "600/9s", "4/s; 700/9s", "700/9s; 4/s", "2000000/9s; 600/3s"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hit"] * 5 + ["peek", "refund", "clear"]),
        st.integers(0, len(PLANS) - 1),
        st.sampled_from([1, 1, 2, 5, 500]),
        st.sampled_from([0, 0, 1, 250_000, 1_000_000, 3_000_000, 9_000_000, -5]),
    ),
    max_size=30,
)


def told(state, step, plan, cost, now):
    try:
        return state, getattr(state, step)(plan, cost, now)
    except OtherRule:
        state = succeeding(state)
        return state, getattr(state, step)(plan, cost, now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(steps=STEPS)
def test_a_state_survives_any_number_of_round_trips(algorithm, steps):
    plans = [Quota(Limit.parse_many(text), algorithm) for text in PLANS]
    kept, now = fresh(plans[0]), START
    data = packed(kept)
    for step, i, cost, passed in steps:
        now += passed
        plan = plans[i]
        again = restored(data, plan)
        assert (again.kind, again.spans, again.latest) == (kept.kind, kept.spans, kept.latest)
        if step in {"refund", "clear"}:
            for state in (kept, again):
                state.refund(cost) if step == "refund" else state.clear()
        else:
            kept, expected = told(kept, step, plan, cost, now)
            again, actual = told(again, step, plan, cost, now)
            assert actual == expected
        assert again.expired(now) == kept.expired(now)
        assert again.used(now) == kept.used(now)
        assert again.blocked(now) == kept.blocked(now)
        data = packed(again)


@pytest.mark.parametrize("units", [65_000, 200_000])
def test_sums_that_wrapped_around_are_packed(units):
    plan = Quota([Limit(units, "1s")])
    state, now = fresh(plan), START
    for _ in range(9):
        assert state.hit(plan, units - 5_001, now).allowed
        now += 1_100_000
    assert state.hit(plan, units - 5_001, now).allowed
    assert restored(packed(state), plan).peek(plan, 1, now) == state.peek(plan, 1, now)


def test_a_log_packs_only_what_counts():
    plan = Quota(Limit.parse_many("500/s"))
    state = fresh(plan)
    state.hit(plan, 500, START)
    full = len(packed(state))
    state.hit(plan, 1, START + 2_000_000)
    assert full > 500 * 8
    assert len(packed(state)) < 60


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_no_packed_state_is_refused(algorithm):
    plan = Quota(Limit.parse_many("5/s; 600/m"), algorithm)
    state = fresh(plan)
    state.hit(plan, 2, START)
    data = packed(state)
    for broken in (b"", b"x", data[:10], data[:-1], b"?" + data[1:]):
        with pytest.raises(ValueError, match="no packed state"):
            restored(broken, plan)
