"""A key that was hit once is kept as bytes, and nobody can tell."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit import Limit, MemoryRateLimitStore, Quota
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit._state import fresh

SECOND = 1_000_000
START = 10**12


def quota(text, algorithm="sliding-window"):
    return Quota(Limit.parse_many(text), algorithm)


@given(
    st.sampled_from(ALGORITHMS),
    st.sampled_from(["1/2s", "3/2s", "2/s; 9/10s", "1/s; 600/9s", "700/3s"]),
    st.lists(st.tuples(st.sampled_from(["hit", "peek", "refund"]), st.integers(0, 3 * SECOND)), max_size=4),
)
def test_what_follows_a_first_hit_is_what_the_rule_says(algorithm, text, steps):
    limit = quota(text, algorithm)
    store, rule, now = MemoryRateLimitStore(), fresh(limit), START
    assert store.hit("k", limit, 1, now) == rule.hit(limit, 1, now)
    for what, passed in steps:
        now += passed
        if what == "refund":
            store.refund("k", limit, 1, now)
            rule.refund(1)
        else:
            assert getattr(store, what)("k", limit, 1, now) == getattr(rule, what)(limit, 1, now)


def test_a_reset_forgets_it():
    store, limit = MemoryRateLimitStore(), quota("1/m")
    store.hit("k", limit, 1, START)
    store.reset("k")
    assert store.peek("k", limit, 1, START).allowed


def test_a_change_of_plan_takes_it_along_with_how_far_it_reaches():
    long, short, large = quota("2/h"), quota("2/s"), quota("600/h")
    store = MemoryRateLimitStore()
    store.hit("k", long, 1, START)
    store.hit("k", short, 1, START + 2 * SECOND)
    assert store.peek("k", long, 1, START + 2 * SECOND).remaining == (0,)
    store.hit("other", long, 1, START)
    assert store.hit("other", large, 1, START).remaining == (598,)


def test_the_garbage_collector_does_not_see_them():
    store, limit = MemoryRateLimitStore(), quota("5/h")
    store.hit("first", limit, 1, START)
    gc.collect()
    seen = len(gc.get_objects())
    for i in range(10_000):
        store.hit(f"k{i}", limit, 1, START)
    assert len(gc.get_objects()) - seen < 1000
    assert len(store) == 10_001


@pytest.mark.parametrize("text", ["1/m", "1/m; 5/h"])
def test_one_that_is_at_its_limit_is_not_forgotten_for_another(text):
    store, limit = MemoryRateLimitStore(max_keys=1), quota(text)
    store.hit("victim", limit, 1, START)
    refused = store.hit("other", limit, 1, START)
    assert (refused.allowed, max(refused.retry)) == (False, 60 * SECOND)
    assert not store.hit("victim", limit, 1, START).allowed
    assert store.hit("other", limit, 1, START + 60 * SECOND).allowed


def test_one_that_is_not_makes_room():
    store, limit = MemoryRateLimitStore(max_keys=1), quota("2/m")
    store.hit("first", limit, 1, START)
    assert store.hit("second", limit, 1, START).allowed
    assert len(store) == 1


def test_any_number_of_plans():
    store = MemoryRateLimitStore(max_keys=1000)  # in one shard
    plans = [quota(f"{units}/m") for units in range(2, 700)]
    for i, plan in enumerate(plans):
        store.hit(str(i), plan, 1, START)
    for i, plan in enumerate(plans):
        assert store.peek(str(i), plan, 1, START).remaining == (plan.largest - 1,)


def test_the_second_hit_takes_its_place():
    store, limit = MemoryRateLimitStore(max_keys=1000), quota("5/h")
    for _ in range(2):
        store.hit("k", limit, 1, START)
    assert store._shards[0]._first_hits.get("k") is None


def test_the_longest_windows():
    limit = Quota([Limit(2, 100_000_000_000)])
    store = MemoryRateLimitStore(max_keys=1)
    assert store.hit("k", limit, 1, START) == fresh(limit).hit(limit, 1, START)
    assert store.hit("other", limit, 2, START).allowed
