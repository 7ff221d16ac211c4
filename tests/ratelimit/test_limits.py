"""The adapters of limits' storages: what they tell."""

from __future__ import annotations

import asyncio

import limits
import limits.aio.storage
import limits.storage
import limits.strategies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import RateLimitExceeded
from scalekit.ratelimit import NEVER, AsyncRateLimiter, RateLimiter, Verdict
from scalekit.ratelimit.limits import AsyncLimitsRateLimitStore, LimitsRateLimitStore
from tests.ratelimit.limits_storages import SERVED, Spare, Told, async_memory, memory, quota

STRATEGIES = {
    "sliding-window": limits.strategies.MovingWindowRateLimiter,
    "sliding-counter": limits.strategies.SlidingWindowCounterRateLimiter,
    "fixed-window": limits.strategies.FixedWindowRateLimiter,
}
MINUTE = 60_000_000


@pytest.fixture
def told(monkeypatch):
    return Told(monkeypatch)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hit", "test"]), st.integers(1, 7)),
        st.tuples(st.just("advance"), st.sampled_from([1e-6, 0.5, 1, 3.25, 9.75, 10, 10.5])),
    ),
    min_size=10,
    max_size=60,
)


@pytest.mark.parametrize("algorithm", STRATEGIES)
def test_verdicts_are_those_of_limits_own_strategies(told, algorithm):
    item, asked = limits.RateLimitItemPerSecond(6, 10), quota("6/10s", algorithm)

    @given(steps=STEPS)
    def agree(steps):
        storage = memory()
        store, theirs = LimitsRateLimitStore(memory()), STRATEGIES[algorithm](storage)
        for step, value in steps:
            if step == "advance":
                told.advance(value)
                continue
            actual = getattr(store, "hit" if step == "hit" else "peek")("k", asked, value, 0)
            expected = theirs.test(item, "k", cost=value)
            if step == "hit" and (expected or algorithm != "fixed-window"):  # whose denials would consume
                expected = theirs.hit(item, "k", cost=value)
            stats = theirs.get_window_stats(item, "k")
            assert (actual.allowed, actual.remaining) == (expected, (stats.remaining,))

    agree()


@pytest.mark.parametrize("algorithm", STRATEGIES)
def test_on_a_server_they_are_those_of_the_strategies_too(redis_server, key_prefix, algorithm):
    """By its own clock, so in windows of hours."""
    ours, theirs = (limits.storage.RedisStorage(redis_server.url, key_prefix=key_prefix + x) for x in "ab")
    store, strategy = LimitsRateLimitStore(ours), STRATEGIES[algorithm](theirs)
    asked, item = quota("9/12h", algorithm), limits.RateLimitItemPerHour(9, 12)
    for cost in (2, 5, 3, 10, 1, 2, 1, 1):
        expected = strategy.test(item, "k", cost=cost)
        assert store.peek("k", asked, cost, 0).allowed is expected
        verdict = store.hit("k", asked, cost, 0)
        assert verdict.allowed is (expected and strategy.hit(item, "k", cost=cost))
        assert verdict.remaining == (strategy.get_window_stats(item, "k").remaining,)


# Of which no sum is a window: at that very instant a unit counts for a hit, but not when limits counts them.
PAUSES = [0.2513, 1.0171, 4.0331, 9.0737, 12.1139]


@pytest.mark.parametrize(
    ("algorithm", "cost"), [(name, 1) for name in STRATEGIES] + [("sliding-counter", 4), ("fixed-window", 4)]
)
def test_the_wait_that_is_told_is_neither_too_short_nor_too_long(told, algorithm, cost):
    """A hundredth of a second is the least that is told."""
    asked = quota("6/10s", algorithm)

    @given(hits=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(PAUSES)), min_size=3, max_size=9))
    def holds(hits):
        store = LimitsRateLimitStore(memory())
        for units, pause in hits:
            store.hit("k", asked, units, 0)
            told.advance(pause)
        while (verdict := store.hit("k", asked, cost, 0)).allowed:
            pass
        assert 10_000 <= verdict.retry[0] <= 20_000_000
        told.advance((verdict.retry[0] - 10_000) / 1e6 - 1e-6)
        assert verdict.retry[0] == 10_000 or not store.peek("k", asked, cost, 0).allowed
        told.advance(0.010_001)
        assert store.peek("k", asked, cost, 0).allowed

    holds()


@pytest.mark.parametrize("algorithm", STRATEGIES)
def test_the_whole_quota_is_back_when_it_was_told(told, algorithm):
    store, asked = LimitsRateLimitStore(memory()), quota("3/10s", algorithm)
    assert store.peek("k", asked, 1, 0).reset == (0,)
    for pause in (1, 3, 13.5):
        for verdict in (store.hit("k", asked, 1, 0), store.peek("k", asked, 1, 0)):
            assert 0 < verdict.reset[0] <= 20_000_000
        told.advance(pause)
    store.hit("k", asked, 1, 0)
    told.advance(4)
    store.hit("k", asked, 1, 0)
    verdict = store.peek("k", asked, 1, 0)
    assert verdict.remaining < (3,)
    told.advance(verdict.reset[0] / 1e6 + 1e-6)
    assert store.peek("k", asked, 1, 0).remaining == (3,)


def test_the_only_unit_of_a_moving_window_is_back_when_it_expires(told):
    store, asked = LimitsRateLimitStore(memory()), quota("3/10s")
    store.hit("k", asked, 1, 0)
    told.advance(4)
    assert store.peek("k", asked, 1, 0).reset == (6_000_000,)


def test_a_wait_for_several_units_of_a_moving_window_is_for_the_first(told):
    store, asked = LimitsRateLimitStore(memory()), quota("2/10s")
    store.hit("k", asked, 1, 0)
    told.advance(4)
    store.hit("k", asked, 1, 0)
    first = store.hit("k", asked, 2, 0)
    assert not first.allowed
    assert first.retry[0] in {6_000_000, 6_000_001}  # rounded up
    told.advance(first.retry[0] / 1e6)
    assert store.hit("k", asked, 2, 0).retry[0] in {4_000_000, 4_000_001}


def test_a_fixed_window_begins_with_its_first_hit(told):
    told.advance(17)
    store, asked = LimitsRateLimitStore(memory()), quota("3/m", "fixed-window")
    assert store.hit("k", asked, 2, 0) == Verdict(True, (0,), (1,), (MINUTE,))
    told.advance(59)
    assert store.hit("k", asked, 2, 0) == Verdict(False, (1_000_001,), (1,), (1_000_000,))
    assert store.hit("k", asked, 1, 0) == Verdict(True, (0,), (0,), (1_000_000,))
    told.advance(0.995)
    assert store.hit("k", asked, 1, 0).retry == (10_000,)  # the least that is told
    told.advance(0.005)
    assert store.hit("k", asked, 3, 0) == Verdict(True, (0,), (0,), (MINUTE,))


@pytest.mark.parametrize("algorithm", SERVED)
def test_a_denial_consumes_nothing(told, algorithm):
    store, asked = LimitsRateLimitStore(memory()), quota("5/m", algorithm)
    assert store.hit("k", asked, 3, 0).remaining == (2,)
    assert not any(store.hit("k", asked, 3, 0).allowed for _ in range(5))
    assert store.hit("k", asked, 6, 0).retry == (NEVER,)
    assert store.hit("k", asked, 2, 0).remaining == (0,)


def test_a_hit_that_loses_a_race_for_the_last_units_of_a_fixed_window_is_denied():
    class Raced(Spare):
        def get(self, key):
            used = super().get(key)
            self.incr(key, 60, 3)
            return used

    store = LimitsRateLimitStore(Raced())
    verdict = store.hit("k", quota("5/m", "fixed-window"), 3, 0)
    assert (verdict.allowed, verdict.remaining) == (False, (0,))


@pytest.mark.parametrize("algorithm", SERVED)
def test_a_reset_forgets_and_says_nothing_of_other_keys(algorithm):
    store, asked = LimitsRateLimitStore(memory()), quota("2/h", algorithm)
    for key in ("k", "other"):
        store.hit(key, asked, 2, 0)
    store.reset("k")
    assert store.hit("k", asked, 1, 0).remaining == (1,)
    assert not store.hit("other", asked, 1, 0).allowed


@pytest.mark.parametrize("algorithm", ["sliding-window", "fixed-window"])
def test_another_window_goes_on_with_what_was_consumed(told, algorithm):
    store = LimitsRateLimitStore(memory())
    store.hit("k", quota("3/10s", algorithm), 3, 0)
    assert store.hit("k", quota("5/20s", algorithm), 1, 0).remaining == (1,)
    store.reset("k")
    assert store.peek("k", quota("5/20s", algorithm), 1, 0).remaining == (5,)


def test_another_window_of_a_sliding_counter_begins_anew(redis_server, key_prefix):
    for storage in (memory(), limits.storage.RedisStorage(redis_server.url, key_prefix=key_prefix)):
        store = LimitsRateLimitStore(storage)
        store.hit("k", quota("3/12h", "sliding-counter"), 3, 0)
        assert store.hit("k", quota("3/24h", "sliding-counter"), 1, 0).remaining == (2,)
        assert not store.hit("k", quota("3/12h", "sliding-counter"), 1, 0).allowed
        store.reset("k")
        assert store.hit("k", quota("3/24h", "sliding-counter"), 1, 0).remaining == (2,)


@pytest.mark.parametrize(
    ("algorithm", "calls"), [("sliding-log", 2), ("sliding-counter", 2), ("fixed-window", 3)]
)
def test_a_hit_takes_two_or_three_calls_of_the_storage(algorithm, calls):
    class Counted:
        made = 0

        def __getattr__(self, name):
            Counted.made += 1
            return getattr(storage, name)

    storage, asked = memory(), quota("1/h", algorithm)
    store = LimitsRateLimitStore(storage)
    store._storage = Counted()
    for expected in (calls, calls + 2):  # admitted, then denied
        store.hit("k", asked, 1, 0)
        assert Counted.made == expected
    store.peek("k", asked, 1, 0)
    assert Counted.made == calls + 2 + calls - 1


def test_a_limiter_serves_both_faces(told):
    limiter = RateLimiter("2/m", store=LimitsRateLimitStore(memory()))
    assert [limiter.acquire("k").remaining for _ in range(2)] == [1, 0]
    with pytest.raises(RateLimitExceeded):
        limiter.acquire("k", timeout="1s")

    async def twin():
        limiter = AsyncRateLimiter("2/m", store=AsyncLimitsRateLimitStore(async_memory()))
        return [(await limiter.hit("k")).remaining for _ in range(2)] + [(await limiter.hit("k")).allowed]

    assert asyncio.run(twin()) == [1, 0, False]
