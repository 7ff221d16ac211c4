"""A Redis that freezes (SIGSTOP) under a cached function: what each call costs over its load.

    python -m benchmarks.cache.outage

Starts a server of its own. Ours runs with its defaults: 50 ms for a call, a breaker that opens after three.
The peers run as their documentation shows them, with the time-out of half a second that a careful user would
set where they let one. Goals: the first call <= load + 70 ms, then <= load + 1 ms.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from typing import TYPE_CHECKING, Any

from aiocache import RedisCache
from aiocache import cached as aiocached
from cashews import Cache as Cashews
from dogpile.cache import make_region

from scalekit.cache import AsyncCache, Cache
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOAD = 0.005
CALLS = 200


def load(key: int) -> int:
    time.sleep(LOAD)
    return key


async def async_load(key: int) -> int:
    await asyncio.sleep(LOAD)
    return key


def timed(call: Callable[[int], Any], key: int) -> tuple[float, str]:
    """Return the seconds that a call took beyond its load, and what its caller saw."""
    began = time.perf_counter()
    try:
        saw = "value" if call(key) == key else "WRONG"
    except Exception as error:  # noqa: BLE001
        saw = type(error).__name__
    return time.perf_counter() - began - LOAD, saw


async def async_timed(call: Callable[[int], Awaitable[Any]], key: int) -> tuple[float, str]:
    began = time.perf_counter()
    try:
        saw = "value" if await call(key) == key else "WRONG"
    except Exception as error:  # noqa: BLE001
        saw = type(error).__name__
    return time.perf_counter() - began - LOAD, saw


def show(name: str, measured: list[tuple[float, str]], goal: str = "") -> None:
    first, later = measured[0], [seconds for seconds, _ in measured[3:]]
    rest = f"{statistics.median(later) * 1e3:>10.2f} ms" if later else f"{'not tried':>13}"
    print(f"{name:24}{first[0] * 1e3:>10.1f} ms{rest}   {first[1]:20}{goal}")


def sync_part(server: RedisServer) -> None:
    region = make_region().configure(
        "dogpile.cache.redis",
        expiration_time=60,
        arguments={"host": "127.0.0.1", "port": server.port, "socket_timeout": 0.5},
    )
    with RedisLink.from_url(server.url) as link:
        ours = Cache(RedisCacheStore(link)).cached(ttl=60, tags=["t"])(load)
        peer = region.cache_on_arguments()(load)
        assert (ours(0), peer(0)) == (0, 0)
        server.freeze()
        show("scalekit", [timed(ours, 1 + n) for n in range(CALLS)], "<= 70, then <= 1")
        show("dogpile.cache", [timed(peer, 1)])
        server.thaw()


async def async_part(server: RedisServer) -> None:
    cashews = Cashews()
    cashews.setup(f"{server.url}?socket_timeout=0.5", suppress=True)
    aio: Any = aiocached(ttl=60, cache=RedisCache, endpoint="127.0.0.1", port=server.port)
    async with AsyncRedisLink.from_url(server.url) as link:
        ours = AsyncCache(AsyncRedisCacheStore(link)).cached(ttl=60, tags=["t"])(async_load)
        peers: dict[str, Any] = {"cashews": cashews(ttl=60)(async_load), "aiocache": aio(async_load)}
        for call in (ours, *peers.values()):
            await call(0)
        server.freeze()
        measured = [await async_timed(ours, 1 + n) for n in range(CALLS)]
        show("scalekit, async", measured, "<= 70, then <= 1")
        for name, call in peers.items():
            show(name, [await async_timed(call, 1)])
        server.thaw()
    await cashews.close()


def main() -> None:
    logging.disable(logging.CRITICAL)
    print(f"{'server frozen':24}{'first call':>13}{'then, median':>13}   caller saw")
    server = RedisServer(preferred())
    server.start()
    try:
        sync_part(server)
        asyncio.run(async_part(server))
    finally:
        server.close()


if __name__ == "__main__":
    main()
