"""A hit on Redis under three limits, as a ratio to `EVALSHA "return 1"` over the same link.

The trivial script is what a round trip costs; the rest is ours: the rule on the server, and the answer in
Python. A limiter that asks once per limit stays below a third. Then the same for 50 tasks at once, as a
ratio to redis.asyncio alone. Starts a server of its own, which must have got one command per hit; the two
sides take turns. From the repository's root:

    python -m benchmarks.ratelimit.server [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import TYPE_CHECKING

import redis.asyncio

from scalekit.ratelimit import AsyncRateLimiter, RateLimiter
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scalekit.ratelimit._quota import Algorithm

CALLS = 2_000
TASKS = 50
LIMITS = "10/s; 100/15m; 5000/d"
KEYS = {"admitted": 1_000, "denied": 1}  # which share the calls of a round


def rate(call: Callable[[int], object]) -> float:
    began = time.perf_counter()
    for n in range(CALLS):
        call(n)
    return CALLS / (time.perf_counter() - began)


async def rate_of_tasks(call: Callable[[int], Awaitable[object]]) -> float:
    async def task(first: int) -> None:
        for n in range(first, CALLS, TASKS):
            await call(n)

    began = time.perf_counter()
    await asyncio.gather(*map(task, range(TASKS)))
    return CALLS / (time.perf_counter() - began)


def compared(link: RedisLink, algorithm: Algorithm, keys: int, rounds: int) -> tuple[float, float]:
    """Return the median of the ratios, and of our hits per second."""
    digest = link.execute("SCRIPT", "LOAD", "return 1")
    limiter = RateLimiter(LIMITS, store=RedisRateLimitStore(link), algorithm=algorithm)
    ours: list[float] = []
    trivial: list[float] = []
    limiter.peek("user:0")  # the server knows the script now
    link.execute("CONFIG", "RESETSTAT")
    for _ in range(rounds):
        ours.append(rate(lambda n: limiter.hit(f"user:{n % keys}")))
        trivial.append(rate(lambda _: link.execute("EVALSHA", digest, 1, "key")))
    commands = link.execute("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
    if commands != 2 * rounds * CALLS:
        raise SystemExit(f"{commands} commands for {2 * rounds * CALLS} calls")
    return statistics.median(a / b for a, b in zip(ours, trivial, strict=True)), statistics.median(ours)


async def compared_in_tasks(url: str, algorithm: Algorithm, rounds: int) -> tuple[float, float]:
    """Return the same for 50 tasks, and redis.asyncio by itself."""
    link, client = AsyncRedisLink.from_url(url, timeout="5s"), redis.asyncio.Redis.from_url(url)
    digest = await client.script_load("return 1")
    limiter = AsyncRateLimiter(LIMITS, store=AsyncRedisRateLimitStore(link), algorithm=algorithm)
    await limiter.peek("user:0")
    ours: list[float] = []
    trivial: list[float] = []
    for _ in range(rounds):
        ours.append(await rate_of_tasks(lambda n: limiter.hit(f"user:{n % KEYS['admitted']}")))
        trivial.append(await rate_of_tasks(lambda _: client.evalsha(digest, 1, "key")))
    await link.aclose()
    await client.aclose()
    return statistics.median(a / b for a, b in zip(ours, trivial, strict=True)), statistics.median(ours)


def main(rounds: int) -> None:
    server = RedisServer(preferred())
    server.start()
    with RedisLink.from_url(server.url, timeout="5s") as link:
        for algorithm in ALGORITHMS:
            for label, keys in KEYS.items():
                server.flush()
                ratio, hits = compared(link, algorithm, keys, rounds)
                print(f"{algorithm}, {label}: {ratio:.2f} of a trivial script ({hits:,.0f} hits/s)")
            server.flush()
            ratio, hits = asyncio.run(compared_in_tasks(server.url, algorithm, rounds))
            print(f"{algorithm}, {TASKS} tasks: {ratio:.2f} of redis.asyncio ({hits:,.0f} hits/s)")
    server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
