"""The peers as their documentation shows them: one limit of `units` per `seconds`, in memory, a bool."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from pyrate_limiter import GCRA, InMemoryBucket, Limiter, Rate, StateBucket
from throttled import RateLimiterType, Throttled, rate_limiter
from throttled.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Hit = Callable[[str], bool]
    Make = Callable[[int, int], Hit]


def _limits(strategy: type[FixedWindowRateLimiter | MovingWindowRateLimiter]) -> Make:
    def make(units: int, seconds: int) -> Hit:
        limiter, item = strategy(MemoryStorage()), RateLimitItemPerSecond(units, seconds)
        return lambda key: limiter.hit(item, key)

    return make


def _pyrate(bucket: Callable[[list[Rate]], object]) -> Make:
    def make(units: int, seconds: int) -> Hit:
        limiters: dict[str, Limiter] = {}  # a bucket counts for one key

        def hit(key: str) -> bool:
            limiter = limiters.get(key)
            if limiter is None:
                limiter = limiters[key] = Limiter(bucket([Rate(units, seconds * 1000)]))
            return limiter.try_acquire(key, blocking=False)

        return hit

    return make


def _throttled(algorithm: RateLimiterType) -> Make:
    def make(units: int, seconds: int) -> Hit:
        quota = rate_limiter.per_duration(timedelta(seconds=seconds), units, burst=units)
        throttle = Throttled(using=algorithm.value, quota=quota, store=MemoryStore())
        return lambda key: not throttle.limit(key).limited

    return make


PEERS: dict[str, Make] = {
    "limits MovingWindow": _limits(MovingWindowRateLimiter),
    "limits SlidingWindowCounter": _limits(SlidingWindowCounterRateLimiter),
    "limits FixedWindow": _limits(FixedWindowRateLimiter),
    "pyrate-limiter log": _pyrate(InMemoryBucket),
    "pyrate-limiter GCRA": _pyrate(lambda rates: StateBucket(rates, GCRA())),
    "throttled-py sliding window": _throttled(RateLimiterType.SLIDING_WINDOW),
    "throttled-py GCRA": _throttled(RateLimiterType.GCRA),
    "throttled-py token bucket": _throttled(RateLimiterType.TOKEN_BUCKET),
}
