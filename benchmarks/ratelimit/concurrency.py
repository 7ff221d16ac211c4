"""To enter and to leave a place that is free, next to what the standard library has, and to a trivial script.

    python -m benchmarks.ratelimit.concurrency [rounds]

Rounds are interleaved, medians compared. A semaphore has no key, no line across loops and no lease. On Redis
an entry and a leave are two scripts; the trivial one, `return 1`, is run twice. Starts a server of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING

from scalekit.ratelimit import AsyncConcurrencyLimiter, ConcurrencyLimiter
from scalekit.ratelimit.redis import RedisConcurrencyStore
from scalekit.redis import RedisLink
from scalekit.redis._script import Script, run
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2_000
TRIVIAL = Script("return 1")


def seconds(enter: Callable[[], None]) -> float:
    """Return the time of one entry and leave, in seconds."""
    began = time.perf_counter()
    for _ in range(CALLS):
        enter()
    return (time.perf_counter() - began) / CALLS


def with_limiter(limiter: ConcurrencyLimiter) -> Callable[[], None]:
    def enter() -> None:
        with limiter.slot("tenant:7"):
            pass

    return enter


def with_semaphore(semaphore: threading.BoundedSemaphore) -> Callable[[], None]:
    def enter() -> None:
        with semaphore:
            pass

    return enter


def show(figures: dict[str, list[float]]) -> None:
    base = statistics.median(next(iter(figures.values())))
    for who, times in figures.items():
        middle = statistics.median(times)
        print(f"  {who:34} {middle * 1e6:8.2f} us {middle / base:6.2f} x", flush=True)


async def async_seconds(rounds: int) -> dict[str, list[float]]:
    limiter, semaphore = AsyncConcurrencyLimiter(20), asyncio.BoundedSemaphore(20)
    figures: dict[str, list[float]] = {"AsyncConcurrencyLimiter": [], "asyncio.BoundedSemaphore": []}
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(CALLS):
            async with limiter.slot("tenant:7"):
                pass
        figures["AsyncConcurrencyLimiter"].append((time.perf_counter() - began) / CALLS)
        began = time.perf_counter()
        for _ in range(CALLS):
            async with semaphore:
                pass
        figures["asyncio.BoundedSemaphore"].append((time.perf_counter() - began) / CALLS)
    return figures


def interleaved(rounds: int, enters: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {who: [] for who in enters}
    for _ in range(rounds):
        for who, enter in enters.items():
            figures[who].append(seconds(enter))
    return figures


def main(rounds: int) -> None:
    print("in memory, threads")
    memory = {
        "ConcurrencyLimiter": with_limiter(ConcurrencyLimiter(20)),
        "threading.BoundedSemaphore": with_semaphore(threading.BoundedSemaphore(20)),
    }
    show(interleaved(rounds, memory))
    print("in memory, tasks")
    show(asyncio.run(async_seconds(rounds)))
    server = RedisServer(preferred())
    server.start()
    try:
        with RedisLink.from_url(server.url, timeout="5s") as link:

            def trivial() -> None:
                run(link, TRIVIAL, [(0,)])
                run(link, TRIVIAL, [(0,)])

            print("on Redis")
            limiter = ConcurrencyLimiter(20, store=RedisConcurrencyStore(link))
            show(
                interleaved(
                    rounds, {"ConcurrencyLimiter": with_limiter(limiter), "two trivial scripts": trivial}
                )
            )
    finally:
        server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
