"""The adapters of limits' storages: what they refuse."""

from __future__ import annotations

import limits.storage
import pytest

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import RateLimiter
from scalekit.ratelimit.limits import AsyncLimitsRateLimitStore, LimitsRateLimitStore
from tests.ratelimit.limits_storages import SERVED, LikeMemcached, Spare, async_memory, memory, quota

MOVING = ["sliding-window", "sliding-log"]

REFUSED = [
    (memory, quota("1/s", "gcra"), "algorithm as 'sliding-window' or .* in MemoryStorage of limits"),
    (memory, quota("1/s", "token-bucket"), "algorithm as"),
    *((Spare, quota("1/s", name), "as 'fixed-window' in Spare of limits") for name in SERVED[:-1]),
    (LikeMemcached, quota("1/s"), "as 'sliding-counter' or 'fixed-window' in LikeMemcached"),
    *((memory, quota("1/s; 2/m", name), "limits as a single one") for name in SERVED),
    *((memory, quota("1/500ms", name), "window as whole seconds .* got 0.5") for name in SERVED),
    (memory, quota("1/1.5s"), "window as whole seconds"),
    *((memory, quota("100001/day", name), "limit <= 100000 for") for name in MOVING),
    (LikeMemcached, quota("1/31day", "fixed-window"), "window <= 2592000 seconds for 'fixed-window'"),
    (LikeMemcached, quota("1/16day", "sliding-counter"), "window <= 1296000 seconds"),
]


@pytest.mark.parametrize(("storage", "asked", "message"), REFUSED)
def test_what_a_storage_cannot_do_is_refused(storage, asked, message):
    store = LimitsRateLimitStore(storage())
    for method in (store.hit, store.peek):
        with pytest.raises(ConfigurationError, match=message):
            method("k", asked, 1, 0)


def test_what_is_at_the_bound_is_served():
    assert LimitsRateLimitStore(memory()).hit("k", quota("100000/day"), 1, 0)
    store = LimitsRateLimitStore(LikeMemcached())
    assert store.hit("k", quota("1/30day", "fixed-window"), 1, 0).allowed
    assert store.hit("k", quota("1/15day", "sliding-counter"), 1, 0).allowed


def test_a_reset_can_clear_the_windows_of_all_sliding_counters_so_there_are_not_too_many():
    store = LimitsRateLimitStore(memory())
    for n in range(1, 17):
        store.hit("k", quota(f"5/{n}h", "sliding-counter"), 5, 0)
    with pytest.raises(ConfigurationError, match="window as one of 16"):
        store.hit("k", quota("5/17h", "sliding-counter"), 1, 0)
    store.reset("k")
    for n in range(1, 17):
        assert store.peek("k", quota(f"5/{n}h", "sliding-counter"), 1, 0).remaining == (5,)


@pytest.mark.parametrize("algorithm", SERVED)
def test_a_limiter_says_that_nothing_is_taken_back(algorithm):
    limiter = RateLimiter("5/h", store=LimitsRateLimitStore(memory()), algorithm=algorithm)
    limiter.hit("k")
    with pytest.raises(ConfigurationError, match="takes units back"):
        limiter.refund("k")
    assert limiter.peek("k").remaining == 4


@pytest.mark.parametrize("wrong", [None, "memory://", limits.storage.MemoryStorage, async_memory])
def test_anything_else_than_a_storage_is_refused(wrong):
    with pytest.raises(ConfigurationError, match=r"as a storage of limits.storage"):
        LimitsRateLimitStore(wrong() if wrong is async_memory else wrong)


def test_a_sync_storage_is_no_async_one():
    with pytest.raises(ConfigurationError, match=r"as a storage of limits.aio.storage"):
        AsyncLimitsRateLimitStore(memory())
