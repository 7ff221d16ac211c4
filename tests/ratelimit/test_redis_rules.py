"""The script of each algorithm against its rule, told the time, with any limits up to what Redis takes."""

from __future__ import annotations

from itertools import count, permutations, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.redis import RedisLink
from scalekit.testing._ratelimit_calls import Rule
from tests.ratelimit.redis_stores import Unhurried

SECOND = 1_000_000
TODAY = 1_800_000_000 * SECOND + 123_457  # of the order of what TIME says
COUNTING = [algorithm for algorithm in ALGORITHMS if algorithm not in {"sliding-window", "sliding-log"}]
# Two plans of each are equal in all but the order.
CHANGED = [
    [(units[window], window * SECOND) for window in windows]
    for units in ({10: 5, 30: 7, 60: 9}, {10: 5, 30: 700, 60: 9}, {10: 600, 30: 7, 60: 70_000})
    for length in (1, 2, 3)
    for windows in permutations((10, 30, 60), length)
]

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


class Model:
    """The rule, with memory as the scripts have it: a denial and a peek leave no trace."""

    def __init__(self):
        self.rule = None

    def ask(self, step, current, cost, now):
        rule = self.rule or Rule(current)
        verdict = rule.peek(current, cost, now)
        if step == "hit" and verdict.allowed:
            self.rule = rule
            verdict = rule.hit(current, cost, now)
        return verdict

    def refund(self, cost):
        if self.rule is not None:
            self.rule.refund(cost)


def agrees(store, key, quotas, steps):
    current, now, model = quotas[0], TODAY, Model()
    for step, share, odd, of_largest in steps:
        if step == "plan":
            current = quotas[odd % len(quotas)]
        elif step == "advance":
            window = current.longest if of_largest else min(current.windows)
            # Not beyond what a double holds, as the time of a server never is.
            now = min(max(TODAY // 2, now + round(window * share) + odd), 2 * TODAY)
        else:
            cost = max(1, round((current.largest if of_largest else current.smallest) * share) + odd)
            if step == "refund":
                store.refund(key, current, cost, now)
                model.refund(cost)
            else:
                answer = getattr(store, step)(key, current, cost, now)
                assert answer == model.ask(step, current, cost, now)


@pytest.mark.parametrize("algorithm", COUNTING)
def test_any_history_agrees_with_the_rule(store, key_prefix, algorithm):
    """Whatever the limits, whatever was consumed of them, and however often they change."""

    @settings(deadline=None)
    @given(plans=PLANS, steps=STEPS)
    def holds(plans, steps):
        quotas = [quota(algorithm, pairs) for pairs in plans]
        agrees(store, f"{key_prefix}{next(_fresh)}", quotas, steps)

    holds()


LARGE_UNITS = st.one_of(st.integers(511, 514), st.integers(513, 200_000), st.integers(513, 2**31))
SLIDING = st.tuples(st.one_of(st.integers(1, 9), st.integers(1, 512), LARGE_UNITS, LARGE_UNITS), WINDOWS)


def test_any_history_of_any_limits_agrees_with_the_rule_of_the_default(store, key_prefix):
    """Log and parts side by side. One plan: after a refund a log may forget other units than the rule's."""

    @settings(deadline=None)
    @given(pairs=st.lists(SLIDING, min_size=1, max_size=3), steps=STEPS)
    def holds(pairs, steps):
        agrees(store, f"{key_prefix}{next(_fresh)}", [quota("sliding-window", pairs)], steps)

    holds()


def test_any_change_of_plan_agrees_with_the_rule_of_the_default(store, key_prefix):
    @settings(deadline=None)
    @given(plans=st.lists(st.lists(SLIDING, min_size=1, max_size=3), min_size=2, max_size=3), steps=STEPS)
    def holds(plans, steps):
        quotas = [quota("sliding-window", pairs) for pairs in plans]
        steps = [step for step in steps if step[0] != "refund"]
        agrees(store, f"{key_prefix}{next(_fresh)}", quotas, steps)

    holds()


PART = 3  # microseconds
PASSED_PARTS = (0, 0, 1, 1, 2, 3, 4, 40, 192 * PART - 2, 192 * PART - 1, 192 * PART, 2_000, -1, -300)


@pytest.mark.parametrize("units", [600, 140_000])
def test_each_edge_of_each_part_agrees_with_the_rule(store, key_prefix, units):
    """Windows of a few parts' rounding, steps of one unit and of several, refunds that reach back."""
    plan = quota("sliding-window", [(units, 192 * PART - 1), (units, 192 * PART), (400, 300)])
    for seed in range(25):
        random, now, key, model = Random(seed), TODAY, f"{key_prefix}{seed}", Model()
        for n in range(60):
            now += random.choice(PASSED_PARTS)
            step, cost = (
                random.choice(("hit", "hit", "hit", "peek", "refund")),
                random.choice((1, 2, 7, 90, 300)),
            )
            if step == "refund":
                store.refund(key, plan, cost, now)
                model.refund(cost)
            else:
                assert getattr(store, step)(key, plan, cost, now) == model.ask(step, plan, cost, now), (
                    seed,
                    n,
                )


@pytest.mark.parametrize("algorithm", COUNTING)
def test_each_edge_of_each_window_agrees_with_the_rule(store, key_prefix, algorithm):
    plan = quota(algorithm, [(4, 4), (9, 10), (12, 12)])
    for seed in range(20):
        random, now, key, model = Random(seed), TODAY, f"{key_prefix}{seed}", Model()
        for n in range(60):
            now += random.choice((0, 0, 1, 1, 2, 3, 9, 10, 12, 20, -1, -5))
            step, cost = random.choice(("hit", "hit", "peek", "refund")), random.choice((1, 1, 2, 5))
            if step == "refund":
                store.refund(key, plan, cost, now)
                model.refund(cost)
            else:
                answer = getattr(store, step)(key, plan, cost, now)
                assert answer == model.ask(step, plan, cost, now), (seed, n)


def test_the_totals_and_sums_of_the_largest_limits_wrap_around(store, key_prefix):
    plan, model, now = quota("sliding-window", [(2**31, 192 * SECOND)]), Model(), TODAY
    for n in range(12):
        for step, cost in (("hit", 2**30 + n), ("hit", 2**30 - 9), ("peek", 2**20), ("hit", 2**31)):
            now += 7 * SECOND
            answer = getattr(store, step)(key_prefix, plan, cost, now)
            assert answer == model.ask(step, plan, cost, now)
        now += 160 * SECOND


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_limit_takes_over_from_the_right_one(store, key_prefix, algorithm):
    """Every change between plans whose limits have counted differently."""
    quotas = [quota(algorithm, pairs) for pairs in CHANGED]
    for n, (before, after) in enumerate(product(quotas, quotas)):
        key, model = f"{key_prefix}{n}", Model()
        for step, current, cost, seconds in (
            ("hit", before, 1, 0),
            ("hit", before, 2, 11),
            ("hit", before, 1, 12),
            ("peek", after, 2, 13),
            ("hit", after, 1, 13),
            ("peek", before, 1, 14),
            ("peek", after, 1, 40),
        ):
            now = TODAY + seconds * SECOND
            answer = getattr(store, step)(key, current, cost, now)
            assert answer == model.ask(step, current, cost, now), (before, after)
