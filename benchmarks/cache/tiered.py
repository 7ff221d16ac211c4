"""Memory in front of Redis: a hit against redis-py's GET, and how soon another process hears.

    python -m benchmarks.cache.tiered [--rounds 1000]

Starts a server of its own. The hit is a call of a cached function with two tags, answered by the near tier;
GET fetches the bare value of 170 bytes. For the announcements, this process changes a value and
invalidates its tag; another asks for the value again and again, every 0.1 ms ("calm") or without a pause
("busy", where the listening thread must take the interpreter from the asking one). The time is from the
beginning of the invalidation until the other process has the new value: announcement, miss, and load.
Goals: >= 200 times as fast as GET; p99 < 5 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import statistics
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from benchmarks.cache.redis import RAW, ROUNDS, VALUE, compared, repeated
from scalekit.cache import AsyncCache, AsyncTieredCacheStore, Cache, MemoryCacheStore, TieredCacheStore
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HITS = 20_000
GETS = 500


def tiered(link: RedisLink) -> Cache:
    return Cache(TieredCacheStore(MemoryCacheStore(), RedisCacheStore(link)), namespace="bench")


def sync_hits(url: str) -> None:
    with redis.Redis.from_url(url) as client, RedisLink(client, timeout="5s") as link:

        @tiered(link).cached(ttl="1h", tags=["user:{user_id}", "users"])
        def profile(user_id: int) -> dict[str, Any]:
            return VALUE | {"id": user_id}

        client.set("bench:raw", RAW)
        settle(lambda: profile(7))
        served = calls(url)
        show(compared({"redis-py GET": repeated(lambda: client.get("bench:raw"), GETS),
                       "Cache.cached call": repeated(lambda: profile(7), HITS)}))  # fmt: skip
        assert calls(url) - served == (ROUNDS + 1) * GETS  # none but those of redis-py


async def async_hits(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)
    async with AsyncRedisLink(client, timeout="5s") as link:
        store = AsyncTieredCacheStore(MemoryCacheStore(), AsyncRedisCacheStore(link))
        taken: dict[str, list[float]] = {"redis.asyncio GET": [], "AsyncCache.cached call": []}

        @AsyncCache(store, namespace="bench").cached(ttl="1h", tags=["user:{user_id}", "users"])
        async def profile(user_id: int) -> dict[str, Any]:
            return VALUE | {"id": user_id}

        await client.set("bench:raw", RAW)
        for _ in range(200):
            await profile(7)
            await asyncio.sleep(0.001)
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            for _ in range(GETS):
                await client.get("bench:raw")
            taken["redis.asyncio GET"].append((time.perf_counter() - began) / GETS)
            began = time.perf_counter()
            for _ in range(HITS):
                await profile(7)
            taken["AsyncCache.cached call"].append((time.perf_counter() - began) / HITS)
    await client.aclose()
    replayed = {name: iter(values) for name, values in taken.items()}
    show(compared({name: values.__next__ for name, values in replayed.items()}))


def settle(call: Any) -> None:
    """Call until the near tier may answer: its connection must have been proven first."""
    for _ in range(200):
        call()
        time.sleep(0.001)


def calls(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("commandstats")["cmdstat_get"]["calls"])  # type: ignore[index]


def show(figures: dict[str, dict[str, float]]) -> None:
    for side, figure in figures.items():
        times = 1 / figure["ratio"]
        spread = f"{1 / figure['highest']:.0f} to {1 / figure['lowest']:.0f}"
        print(f"  {side:26}{figure['us']:9.2f} us   {times:5.0f} times as fast ({spread})")


def other(url: str, source: Any, told: Connection, pause: float) -> None:
    """Ask for the value until it is negative; tell of each new one when it was there."""
    with RedisLink.from_url(url, timeout="5s") as link:

        @tiered(link).cached(ttl="1h", tags=["source"])
        def value() -> int:
            return int(source.value)

        last = 0
        while last >= 0:
            if (found := value()) != last:
                last = found
                told.send((found, time.monotonic()))
            if pause:
                time.sleep(pause)


def announcements(url: str, rounds: int, pause: float) -> list[float]:
    """Return the milliseconds of each round."""
    context = multiprocessing.get_context("spawn")
    source = context.Value("q", 1)
    hears, tells = context.Pipe(duplex=False)
    chance, took = random.Random(1), []
    with RedisLink.from_url(url, timeout="5s") as link:
        cache = tiered(link)
        cache.clear()
        process = context.Process(target=other, args=(url, source, tells, pause))
        process.start()
        assert hears.recv()[0] == 1
        for version in range(2, rounds + 2):
            time.sleep(0.003 + chance.random() * 0.005)  # until the other has a copy again
            source.value = version
            began = time.monotonic()
            cache.invalidate_tags("source")
            assert hears.poll(10), "an invalidation never arrived"
            found, seen = hears.recv()
            assert found == version
            took.append((seen - began) * 1e3)
        source.value = -1
        cache.invalidate_tags("source")
    process.join()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=1_000, help="invalidations of each kind")
    arguments = parser.parse_args()
    server = RedisServer(preferred())
    server.start()
    try:
        print(f"hit of the near tier, redis-py {redis.__version__} (goal: 200 times as fast)")
        sync_hits(server.url)
        asyncio.run(async_hits(server.url))
        print("an invalidation until another process has the new value (goal: p99 < 5 ms)")
        for name, pause in (("calm", 1e-4), ("busy", 0.0)):
            took = announcements(server.url, arguments.rounds, pause)
            marks = statistics.quantiles(took, n=100)
            print(
                f"  {name:26}p50 {marks[49]:.2f} ms, p99 {marks[98]:.2f} ms, the longest {max(took):.2f} ms"
            )
    finally:
        server.close()


if __name__ == "__main__":
    main()
