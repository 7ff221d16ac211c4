"""Time of an in-memory hit, ours with its whole Decision, the peers' with their bool.

    python -m benchmarks.ratelimit.hit [rounds]

Rounds are interleaved, and the medians of their CPU times compared: "5.00 x" took five times as long as
ours. Key strings are made beforehand for us; what the peers make of them is inside their figures. With
several limits `limits` stops at the first that denies, and the ones before it stay consumed.

Targets: an exact hit at least 3.5 x faster than limits MovingWindow and 5 x than pyrate's log, a denial 12 x;
awaited at most 1.5 of ours, and 1.5 x faster than aiolimiter.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import TYPE_CHECKING

import limits
from aiolimiter import AsyncLimiter
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from benchmarks.ratelimit._peers import PEERS
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.ratelimit._peers import Hit
    from scalekit.ratelimit._quota import Algorithm

LIKE: dict[str, Algorithm] = {  # the peers that do the same are compared with it
    "limits MovingWindow": "sliding-log",
    "pyrate-limiter log": "sliding-log",
    "limits SlidingWindowCounter": "sliding-counter",
    "throttled-py sliding window": "sliding-counter",
    "pyrate-limiter GCRA": "gcra",
    "throttled-py GCRA": "gcra",
    "throttled-py token bucket": "token-bucket",
    "limits FixedWindow": "fixed-window",
}
WORKLOADS = {"100/minute, 200 keys": (100, 200), "10000/minute, 1 key": (10_000, 1)}
THREE = "100/minute;150/hour;200/day"


def timed(hit: Hit, keys: list[str], hits: int) -> tuple[float, float]:
    """Return nanoseconds per admitted and per denied hit."""
    figures: list[float] = []
    for _ in range(2):
        start = time.process_time_ns()
        for _ in range(hits):
            for key in keys:
                hit(key)
        figures.append((time.process_time_ns() - start) / (hits * len(keys)))
    return figures[0], figures[1]


def three_of_limits(key_limiter: MovingWindowRateLimiter) -> Hit:
    items = limits.parse_many(THREE)

    def hit(key: str) -> bool:
        for item in items:  # noqa: SIM110  # as one would write it; all() over a generator is slower
            if not key_limiter.hit(item, key):
                return False
        return True

    return hit


async def awaited(text: str, keys: list[str], hits: int) -> float:
    limiter = AsyncRateLimiter(text)
    start = time.process_time_ns()
    for _ in range(hits):
        for key in keys:
            await limiter.hit(key)
    return (time.process_time_ns() - start) / (hits * len(keys))


async def aiolimiter(hits: int) -> float:
    limiter = AsyncLimiter(hits, 60)
    start = time.process_time_ns()
    for _ in range(hits):
        await limiter.acquire()
    return (time.process_time_ns() - start) / hits


def medians(
    makers: dict[str, Callable[[], Hit]], keys: list[str], hits: int, rounds: int
) -> dict[str, list[float]]:
    runs: dict[str, list[tuple[float, float]]] = {who: [] for who in makers}
    for _ in range(rounds):
        for who, make in makers.items():
            runs[who].append(timed(make(), keys, hits))
    return {
        who: [statistics.median(column) for column in zip(*figures, strict=True)]
        for who, figures in runs.items()
    }


def compare(units: int, count: int, rounds: int) -> None:
    keys = [f"user:{i}" for i in range(count)]

    def ours(algorithm: Algorithm) -> Callable[[], Hit]:
        return lambda: RateLimiter(f"{units}/minute", algorithm=algorithm).hit

    makers: dict[str, Callable[[], Hit]] = {"ours, sliding-window": ours("sliding-window")}
    makers |= {f"ours, {algorithm}": ours(algorithm) for algorithm in LIKE.values()}
    makers |= {who: lambda make=make: make(units, 60) for who, make in PEERS.items()}
    told = medians(makers, keys, units, rounds)
    for who, (admit, deny) in told.items():
        if who in LIKE:
            like = told[f"ours, {LIKE[who]}"]
            ratios = f"{admit / like[0]:6.2f} x {deny / like[1]:6.2f} x ours, {LIKE[who]}"
        else:
            ratios = ""
        print(f"  {who:30} {admit:6.0f} ns admitted {deny:6.0f} ns denied {ratios}", flush=True)


def compare_three(rounds: int) -> None:
    keys = [f"user:{i}" for i in range(200)]
    makers: dict[str, Callable[[], Hit]] = {
        "ours, sliding-window": lambda: RateLimiter(THREE).hit,
        "limits MovingWindow": lambda: three_of_limits(MovingWindowRateLimiter(MemoryStorage())),
    }
    told = medians(makers, keys, 100, rounds)
    admit, deny = told["ours, sliding-window"]
    for who, figures in told.items():
        print(f"  {who:30} {figures[0] / admit:6.2f} x admitted {figures[1] / deny:6.2f} x denied")


def compare_awaited(rounds: int) -> None:
    hits, keys = 10_000, ["user:1"]
    figures: dict[str, list[float]] = {"ours, not awaited": [], "ours": [], "aiolimiter": []}
    for _ in range(rounds):
        figures["ours, not awaited"].append(timed(RateLimiter(f"{hits}/minute").hit, keys, hits)[0])
        figures["ours"].append(asyncio.run(awaited(f"{hits}/minute", keys, hits)))
        figures["aiolimiter"].append(asyncio.run(aiolimiter(hits)))
    ours = statistics.median(figures["ours"])
    for who, times in figures.items():
        middle = statistics.median(times)
        print(f"  {who:30} {middle:6.0f} ns admitted, {middle / ours:6.2f} x")


def main(rounds: int) -> None:
    for label, (units, count) in WORKLOADS.items():
        print(label)
        compare(units, count, rounds)
    print(f"{THREE}, 200 keys")
    compare_three(rounds)
    print("10000/minute, 1 key, awaited")
    compare_awaited(rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
