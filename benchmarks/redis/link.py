"""The links against raw redis-py: what a frozen server costs, and what auto-pipelining gains.

Starts a server of its own, from the dependency group `servers`. Everything is measured in one run, the
two sides of a ratio in turn, so that a busy machine slows both. From the repository's root:

    python -m benchmarks.redis.link [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from scalekit.errors import BackendTimeout, BackendUnavailable
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 7
VALUE = b"x" * 170


def attempt(link: RedisLink) -> tuple[float, Any]:
    """Return how many seconds a GET took, and its reply or error."""
    began = time.perf_counter()
    try:
        outcome = link.execute("GET", "key")
    except (BackendTimeout, BackendUnavailable) as error:
        outcome = error
    return time.perf_counter() - began, outcome


async def async_attempt(link: AsyncRedisLink) -> tuple[float, Any]:
    """Return how many seconds a GET took within the event loop, and its reply or error."""
    began = time.perf_counter()
    try:
        outcome = await link.execute("GET", "key")
    except (BackendTimeout, BackendUnavailable) as error:
        outcome = error
    return time.perf_counter() - began, outcome


def frozen(server: RedisServer, attempt: Callable[[], tuple[float, Any]]) -> dict[str, float]:
    """Freeze the server under a warm link: deadline, open breaker, and the way back, in seconds."""
    attempt()
    server.freeze()
    first = [attempt() for _ in range(3)]
    refused = [attempt() for _ in range(1_000)]
    assert all(isinstance(outcome, BackendTimeout) for _, outcome in first), first
    assert all(isinstance(outcome, BackendUnavailable) for _, outcome in refused)
    while not isinstance(attempt()[1], BackendTimeout):
        time.sleep(0.001)
    server.thaw()  # right after a probe that failed: the longest way back there is
    thawed = time.perf_counter()
    while attempt()[1] != VALUE:
        time.sleep(0.001)
    resumed = time.perf_counter() - thawed
    return {
        "first call, worst of 3": max(seconds for seconds, _ in first),
        "breaker open, median": statistics.median(seconds for seconds, _ in refused),
        "breaker open, 99th percentile": sorted(seconds for seconds, _ in refused)[989],
        "resumed after the thaw": resumed,
    }


async def rate(tasks: int, calls: int, call: Callable[[], Awaitable[Any]]) -> float:
    async def worker() -> None:
        for _ in range(calls):
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(tasks)))
    return tasks * calls / (time.perf_counter() - began)


async def async_rates(url: str, tasks: int, calls: int) -> dict[str, float]:
    """Operations per second of the same commands, raw and over the link; medians of interleaved rounds."""
    client = redis.asyncio.Redis.from_url(url)
    async with AsyncRedisLink.from_url(url, timeout="5s") as link:
        sides: dict[str, Callable[[], Awaitable[Any]]] = {
            "raw": lambda: client.execute_command("GET", "key"),
            "link": lambda: link.execute("GET", "key"),
        }
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS + 1):
            for name, call in sides.items():
                rates[name].append(await rate(tasks, calls, call))
    await client.aclose()
    return {name: statistics.median(values[1:]) for name, values in rates.items()}


def sync_rates(url: str, calls: int) -> dict[str, float]:
    with redis.Redis.from_url(url) as client, RedisLink.from_url(url, timeout="5s") as link:
        sides: dict[str, Callable[[], Any]] = {
            "raw": lambda: client.execute_command("GET", "key"),
            "link": lambda: link.execute("GET", "key"),
        }
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS + 1):
            for name, call in sides.items():
                began = time.perf_counter()
                for _ in range(calls):
                    call()
                rates[name].append(calls / (time.perf_counter() - began))
    return {name: statistics.median(values[1:]) for name, values in rates.items()}


def measure() -> dict[str, Any]:
    server = RedisServer(preferred())
    server.start()
    try:
        server.cmd("SET", "key", VALUE)
        with RedisLink.from_url(server.url) as link:
            sync_faults = frozen(server, lambda: attempt(link))
        async_link = AsyncRedisLink.from_url(server.url)
        with asyncio.Runner() as runner:
            async_faults = frozen(server, lambda: runner.run(async_attempt(async_link)))
        throughput = {
            "1 thread": sync_rates(server.url, 3_000),
            "1 task": asyncio.run(async_rates(server.url, 1, 3_000)),
            "50 tasks": asyncio.run(async_rates(server.url, 50, 200)),
            "100 tasks": asyncio.run(async_rates(server.url, 100, 100)),
        }
    finally:
        server.close()
    return {
        "redis-py": redis.__version__,
        "frozen, RedisLink": sync_faults,
        "frozen, AsyncRedisLink": async_faults,
        "GET per second": throughput,
    }


def report(measured: dict[str, Any]) -> None:
    print(f"redis-py {measured['redis-py']}; deadline 50 ms, breaker resets after 1 s\n")
    print("| server frozen (SIGSTOP) | RedisLink | AsyncRedisLink | goal |")
    print("|---|--:|--:|--:|")
    goals = ("<= 70 ms", "<= 1 ms, aim 10 us", "<= 1 ms", "<= 1 s")
    for (name, seconds), other, goal in zip(
        measured["frozen, RedisLink"].items(),
        measured["frozen, AsyncRedisLink"].values(),
        goals,
        strict=True,
    ):
        print(f"| {name} | {_readable(seconds)} | {_readable(other)} | {goal} |")
    print("\n| GET per second | raw redis-py | link | ratio |")
    print("|---|--:|--:|--:|")
    for name, rates in measured["GET per second"].items():
        ratio = rates["link"] / rates["raw"]
        print(f"| {name} | {rates['raw']:,.0f} | {rates['link']:,.0f} | {ratio:.2f} |")


def _readable(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    logging.disable()  # asyncio's, about the commands we let time out
    measured = measure()
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        report(measured)


if __name__ == "__main__":
    main()
