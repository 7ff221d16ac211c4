"""Time of an in-memory hit, as a ratio to `limits` MovingWindow (exact, too) on the same workload.

    python benchmarks/ratelimit/hit.py [rounds]

A `limits` hit answers yes or no; what our Decision holds (remaining, reset) takes its
`get_window_stats` in addition, so both are shown. Rounds are interleaved, and the medians of their CPU
times compared; key strings are made beforehand for us and by `limits` itself inside its figure. With
several limits `limits` stops at the first that denies, and the ones before it stay consumed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import TYPE_CHECKING

import limits
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from scalekit.ratelimit import AsyncRateLimiter, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

WORKLOADS = {  # text, keys, hits per key that are admitted, then as many that are denied
    "100/minute, 200 keys": ("100/minute", 200, 100),
    "10000/minute, 1 key": ("10000/minute", 1, 10_000),
    "3 limits, 200 keys": ("100/minute;150/hour;200/day", 200, 100),
}


def timed(hit: Callable[[str], object], keys: list[str], hits: int) -> tuple[float, float]:
    """Return nanoseconds per admitted and per denied hit."""
    figures: list[float] = []
    for _ in range(2):
        start = time.process_time_ns()
        for _ in range(hits):
            for key in keys:
                hit(key)
        figures.append((time.process_time_ns() - start) / (hits * len(keys)))
    return figures[0], figures[1]


def ours(text: str) -> Callable[[str], object]:
    return RateLimiter(text).hit


def theirs(text: str, *, stats: bool) -> Callable[[str], object]:
    limiter, items = MovingWindowRateLimiter(MemoryStorage()), limits.parse_many(text)

    def hit(key: str) -> bool:
        for item in items:  # noqa: SIM110  # as one would write it; all() over a generator is slower
            if not limiter.hit(item, key):
                return False
        return True

    def hit_with_stats(key: str) -> object:
        admitted = hit(key)
        return admitted, [limiter.get_window_stats(item, key) for item in items]

    return hit_with_stats if stats else hit


async def awaited(text: str, keys: list[str], hits: int) -> float:
    limiter = AsyncRateLimiter(text)
    start = time.process_time_ns()
    for _ in range(hits):
        for key in keys:
            await limiter.hit(key)
    return (time.process_time_ns() - start) / (hits * len(keys))


def main(rounds: int) -> None:
    for label, (text, count, hits) in WORKLOADS.items():
        keys = [f"user:{i}" for i in range(count)]
        runs: dict[str, list[tuple[float, float]]] = {"ours": [], "limits": [], "limits + stats": []}
        loops: list[float] = []
        for _ in range(rounds):
            runs["ours"].append(timed(ours(text), keys, hits))
            runs["limits"].append(timed(theirs(text, stats=False), keys, hits))
            runs["limits + stats"].append(timed(theirs(text, stats=True), keys, hits))
            loops.append(asyncio.run(awaited(text, keys, hits)))
        medians = {
            who: tuple(statistics.median(column) for column in zip(*figures, strict=True))
            for who, figures in runs.items()
        }
        admit, deny = medians["ours"]
        print(f"{label}: ours {admit:.0f} ns admitted, {deny:.0f} ns denied (1.00)")
        for who in ("limits", "limits + stats"):
            print(
                f"  {who:15} {medians[who][0] / admit:5.2f} x admitted {medians[who][1] / deny:6.2f} x denied"
            )
        print(f"  {'ours, awaited':15} {statistics.median(loops) / admit:5.2f} x admitted")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
