"""The script of each algorithm against its rule, told the time, with any limits up to what Redis takes."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit._state import fresh
from scalekit.redis import RedisLink
from tests.ratelimit.redis_stores import Unhurried

SECOND = 1_000_000
TODAY = 1_800_000_000 * SECOND + 123_457  # of the order of what TIME says
COUNTING = [algorithm for algorithm in ALGORITHMS if algorithm not in {"sliding-window", "sliding-log"}]

_fresh = count()


@pytest.fixture
def store(redis_server):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        yield Unhurried(link)


def quota(algorithm, pairs):
    limits = [Limit(units, window / SECOND, name=str(i)) for i, (units, window) in enumerate(pairs)]
    return Quota(limits, algorithm)


UNITS = st.one_of(st.integers(1, 9), st.integers(1, 1_000), st.integers(1, 2**31), st.just(2**31))
WINDOWS = st.one_of(
    st.integers(1, 50),
    st.sampled_from([SECOND, 60 * SECOND, 86_400 * SECOND, 2**51, 2**51 - 1, 2**52 - 1, 2**52]),
    st.integers(1, 2**40),
    st.integers(1, 2**52),
)
# Of a few windows, so that plans have some in common.
PLANS = st.lists(WINDOWS, min_size=1, max_size=4).flatmap(
    lambda windows: st.lists(
        st.lists(st.tuples(UNITS, st.sampled_from(windows)), min_size=1, max_size=3), min_size=1, max_size=3
    )
)
# A part of the plan's smallest or largest limit, or of its windows, and a little to both sides.
SHARES = st.sampled_from([0.0, 0.0, 0.3, 0.5, 1.0, 1.0])
PASSED = st.sampled_from([0.0, 0.01, 0.5, 1.0, 1.0, 2.0, -0.3])
ODD = st.integers(-2, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hit", "hit", "hit", "peek", "refund"]), SHARES, ODD, st.booleans()),
        st.tuples(
            st.just("advance"), st.sampled_from([0.0, 0.01, 0.5, 1.0, 1.0, 2.0, -0.3]), ODD, st.booleans()
        ),
        st.tuples(st.just("plan"), SHARES, st.integers(0, 2), st.booleans()),
    ),
    min_size=5,
    max_size=30,
)


@pytest.mark.parametrize("algorithm", COUNTING)
def test_any_history_agrees_with_the_rule(store, key_prefix, algorithm):
    """Whatever the limits, whatever was consumed of them, and however often they change."""

    @settings(deadline=None)
    @given(plans=PLANS, steps=STEPS)
    def holds(plans, steps):
        quotas = [quota(algorithm, pairs) for pairs in plans]
        current, key, now, state = quotas[0], f"{key_prefix}{next(_fresh)}", TODAY, None
        for step, share, odd, of_largest in steps:
            if step == "plan":
                current = quotas[odd % len(quotas)]
            elif step == "advance":
                window = current.longest if of_largest else min(current.windows)
                # Not beyond what a double holds, as the time of a server never is.
                now = min(max(TODAY // 2, now + round(window * share) + odd), 3 * TODAY)
            else:
                cost = max(1, round((current.largest if of_largest else current.smallest) * share) + odd)
                if step == "refund":
                    store.refund(key, current, cost, now)
                    if state is not None:
                        state.refund(cost)
                    continue
                answer = getattr(store, step)(key, current, cost, now)
                state = state or fresh(current)
                assert answer == getattr(state, step)(current, cost, now)

    holds()
