"""A Redis that fails under a limiter: how long each verdict takes, and what it is under each `on_error`.

    python -m benchmarks.ratelimit.outage

Starts servers of its own. Ours runs with its defaults: 50 ms for a call, a breaker that opens after three and
lets one call a second through. The peers run as their documentation shows them, with the time-out of half a
second that a careful user would set. Goals, frozen: the first verdict <= 70 ms, then <= 20 us.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from typing import TYPE_CHECKING, Any, get_args

import limits
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from throttled import RateLimiterType, Throttled, rate_limiter
from throttled.store import RedisStore

from scalekit.errors import BackendError
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter
from scalekit.ratelimit._fallback import OnError
from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.ratelimit import Decision

CALLS = 2_000
PLAN = "100000/h"  # nobody gets there: what is measured is an admission


def seen(decision: Decision) -> str:
    verdict = "admitted" if decision.allowed else f"denied, {decision.problem()['status']}"
    return f"{verdict}{', degraded' if decision.degraded else ''}"


def show(name: str, measured: list[float], saw: str, goal: str = "") -> None:
    later = (
        f"{statistics.median(measured[10:]) * 1e6:11.1f} us" if len(measured) > 10 else f"{'not tried':>14}"
    )
    print(f"{name:22}{measured[0] * 1e3:9.1f} ms{later}   {saw:22}{goal}", flush=True)


def timed(hit: Callable[[], Any], calls: int) -> tuple[list[float], str]:
    """Return the seconds of each call, and what the first one's caller saw."""
    measured: list[float] = []
    saw = ""
    for _ in range(calls):
        began = time.perf_counter()
        try:
            decision = hit()
            told = seen(decision) if hasattr(decision, "degraded") else str(decision)
        except Exception as error:  # noqa: BLE001
            told = type(error).__name__
        measured.append(time.perf_counter() - began)
        saw = saw or told
    return measured, saw


def frozen(server: RedisServer) -> None:
    with RedisLink.from_url(server.url) as link:
        limiter = RateLimiter(PLAN, store=RedisRateLimitStore(link))
        storage: Any = RedisStorage(server.url, socket_timeout=0.5)
        moving, item = MovingWindowRateLimiter(storage), limits.parse("100000/hour")
        throttle = Throttled(
            using=RateLimiterType.SLIDING_WINDOW.value,
            quota=rate_limiter.per_hour(100_000),
            store=RedisStore(server=server.url, options={"SOCKET_TIMEOUT": 0.5}),
        )
        peers: dict[str, Callable[[], Any]] = {
            "limits MovingWindow": lambda: moving.hit(item, "k"),
            "throttled-py": lambda: throttle.limit("k"),
        }
        for hit in (lambda: limiter.hit("k"), *peers.values()):
            hit()
        server.freeze()
        show("scalekit", *timed(lambda: limiter.hit("k"), CALLS), "<= 70 ms, then <= 20 us")
        for name, hit in peers.items():
            show(name, *timed(hit, 1))
        server.thaw()


async def async_frozen(server: RedisServer) -> None:
    async with AsyncRedisLink.from_url(server.url) as link:
        limiter = AsyncRateLimiter(PLAN, store=AsyncRedisRateLimitStore(link))
        await limiter.hit("k")
        server.freeze()
        measured: list[float] = []
        saw = ""
        for _ in range(CALLS):
            began = time.perf_counter()
            decision = await limiter.hit("k")
            measured.append(time.perf_counter() - began)
            saw = saw or seen(decision)
        show("scalekit, async", measured, saw, "<= 70 ms, then <= 20 us")
        server.thaw()


def verdict(url: str, on_error: OnError, fault: Callable[[], object], cure: Callable[[], object]) -> str:
    """Return what a limiter of 5/h says of a hit that the fault struck, and of one after the cure."""
    told: list[str] = []
    with RedisLink.from_url(url, breaker_reset="100ms") as link:
        limiter = RateLimiter("5/h", store=RedisRateLimitStore(link), on_error=on_error, name=on_error)
        limiter.hit("k", cost=2)
        fault()
        try:
            told.append(seen(limiter.hit("k")))
        except BackendError as error:
            told.append(type(error).__name__)
        cure()
        decision = limiter.hit("k")
        for _ in range(100):
            if not decision.degraded:
                break
            time.sleep(0.1)
            decision = limiter.peek("k")
        told.append(f"{decision.remaining} of 5 left" if not decision.degraded else "still degraded")
    return "; then ".join(told)


def matrix(server: RedisServer) -> None:
    modes = get_args(OnError)
    print(f"\n| fault | {' | '.join(modes)} |\n|---{'|---' * len(modes)}|")
    faults: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "frozen": (server.freeze, server.thaw),
        "killed, restarted empty": (server.kill, server.restart),
        "out of memory": (
            lambda: server.cmd("CONFIG", "SET", "maxmemory", "1"),
            lambda: server.cmd("CONFIG", "SET", "maxmemory", "0"),
        ),
        "SCRIPT FLUSH": (lambda: server.cmd("SCRIPT", "FLUSH"), lambda: None),
    }
    for name, (fault, cure) in faults.items():
        server.flush()
        cells = [verdict(server.url, mode, fault, cure) for mode in modes]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    logging.disable(logging.CRITICAL)
    server = RedisServer(preferred())
    server.start()
    try:
        print(f"{'server frozen':22}{'first verdict':>12}{'then, median':>14}   caller saw")
        frozen(server)
        asyncio.run(async_frozen(server))
        matrix(server)
    finally:
        server.close()


if __name__ == "__main__":
    main()
