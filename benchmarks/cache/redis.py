"""The Redis cache stores against redis-py alone: hits, batches, a cluster, the invalidation of a tag.

Starts servers of its own, from the dependency group `servers`. Every ratio is of one run, the two sides in
turn, so that a busy machine slows both; it is the median of the rounds' ratios. redis-py fetches the bare
value of 170 bytes with `GET`; ours fetches the same value with the tokens of two tags and of the namespace,
judges it, and decodes it. From the repository's root:

    python -m benchmarks.cache.redis [--json] [--entries 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from scalekit.cache import Cache, Entry, MsgspecSerializer, Slot
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.cluster import RedisCluster
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

ROUNDS = 9
CALLS = 1_500
TASKS = 50
BATCH = 100
PLAIN = MsgspecSerializer(Any)
VALUE = {"id": 7, "name": "n" * 149, "tags": [1, 2, 3]}
RAW = PLAIN.dumps(VALUE)
SLOT = Slot("bench:profile:7", ("bench:", "bench:user:7", "bench:users"), PLAIN)
PRODUCTS = [Slot(f"bench:product:{i}", ("bench:", f"bench:product:{i}"), PLAIN) for i in range(BATCH)]

Ratios = dict[str, dict[str, float]]


def compared(sides: dict[str, Callable[[], float]]) -> Ratios:
    """Return microseconds for each side, the ratio of each to the first, and the spread of the ratios."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):  # the first warms up
        for name, run in sides.items():
            taken[name].append(run() * 1e6)
    base = next(iter(taken.values()))[1:]
    figures = {}
    for name, values in taken.items():
        ratios = sorted(a / b for a, b in zip(values[1:], base, strict=True))
        figures[name] = {
            "us": statistics.median(values[1:]),
            "ratio": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
        }
    return figures


def repeated(call: Callable[[], object], times: int = CALLS) -> Callable[[], float]:
    """Return what runs `call` so often, and returns the seconds that one took."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - began) / times

    return run


def filled(store: RedisCacheStore, slots: list[Slot], value: object = VALUE) -> None:
    now = time.monotonic()
    snapshots = store.read_many(slots, now)
    writes = [(slot, Entry(value, expires=now + 3_600), s) for slot, s in zip(slots, snapshots, strict=True)]
    assert all(store.write_many(writes, now))


def sync_hits(client: Any) -> Ratios:
    with RedisLink(client, timeout="5s") as link:
        store = RedisCacheStore(link)
        cache = Cache(store, namespace="bench")
        loads = []

        @cache.cached(ttl="1h", tags=["user:{user_id}", "users"])
        def profile(user_id: int) -> dict[str, Any]:
            loads.append(user_id)
            return VALUE

        assert profile(7) == profile(7) == VALUE
        client.set("bench:raw", RAW)
        filled(store, [SLOT])
        now = time.monotonic()
        figures = compared({
            "redis-py GET": repeated(lambda: client.get("bench:raw")),
            "store.read, 2 tags": repeated(lambda: store.read(SLOT, now)),
            "Cache.cached call, 2 tags": repeated(lambda: profile(7)),
        })  # fmt: skip
        assert loads == [7]
        assert isinstance(store.read(SLOT, now), Entry)
    return figures


def batches(client: Any) -> Ratios:
    names = [f"bench:raw:{i}" for i in range(BATCH)]
    with RedisLink(client, timeout="5s") as link:
        store = RedisCacheStore(link)
        for name in names:
            client.set(name, RAW)
        filled(store, PRODUCTS)
        now = time.monotonic()
        cache = Cache(store, namespace="bench")

        @cache.cached_many(ttl="1h", tags=lambda id_: [f"product:{id_}"])
        def each(ids: Sequence[int]) -> dict[int, Any]:
            return dict.fromkeys(ids, VALUE)

        @cache.cached_many(ttl="1h", tags=["products"])
        def alike(ids: Sequence[int]) -> dict[int, Any]:
            return dict.fromkeys(ids, VALUE)

        ids = list(range(BATCH))
        assert each(ids) == alike(ids) == dict.fromkeys(ids, VALUE)
        figures = compared({
            "redis-py MGET of 100": repeated(lambda: client.mget(names), 100),
            "the same, values decoded": repeated(lambda: list(map(PLAIN.loads, client.mget(names))), 100),
            "store.read_many of 100, each its own tag": repeated(lambda: store.read_many(PRODUCTS, now), 100),
            "cached_many call of 100, one tag": repeated(lambda: alike(ids), 100),
            "cached_many call of 100, each its own tag": repeated(lambda: each(ids), 100),
        })  # fmt: skip
        assert cache.stats().loads == 2
        assert all(isinstance(found, Entry) for found in store.read_many(PRODUCTS, now))
    return figures


async def async_hits(client: Any) -> Ratios:
    """The same with 50 tasks at once; time per call."""
    loop = asyncio.get_running_loop()
    async with AsyncRedisLink(client, timeout="5s") as link:
        store = AsyncRedisCacheStore(link)
        now = time.monotonic()
        await client.set("bench:raw", RAW)
        assert await store.write(SLOT, Entry(VALUE, expires=now + 3_600), None, now)

        async def concurrently(call: Callable[[], Awaitable[object]]) -> float:
            async def task() -> None:
                for _ in range(CALLS // TASKS):
                    await call()

            began = loop.time()
            await asyncio.gather(*(task() for _ in range(TASKS)))
            return (loop.time() - began) / CALLS

        sides: dict[str, Callable[[], Awaitable[object]]] = {
            "redis.asyncio GET": lambda: client.get("bench:raw"),
            "store.read, 2 tags": lambda: store.read(SLOT, now),
        }
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS + 1):
            for name, call in sides.items():
                taken[name].append(await concurrently(call))
        assert isinstance(await store.read(SLOT, now), Entry)
    await client.aclose()
    replayed = {name: iter(values) for name, values in taken.items()}
    return compared({name: values.__next__ for name, values in replayed.items()})


def invalidation(server: RedisServer, entries: list[int]) -> dict[str, dict[str, float]]:
    """Invalidate a tag that so many entries carry: the time, that of a PING, the commands that ran."""
    figures = {}
    with RedisLink.from_url(server.url, timeout="5s") as link:
        store = RedisCacheStore(link)
        ping = repeated(lambda: link.execute("PING"))
        for count in entries:
            server.flush()
            for first in range(0, count, 1_000):
                every = range(first, min(first + 1_000, count))
                filled(store, [Slot(f"bench:{i}", ("bench:", "bench:tag"), PLAIN) for i in every], 1)
            assert len(store.read_many([Slot(f"bench:{count - 1}", ("bench:",), PLAIN)], 0.0)) == 1
            server.cmd("CONFIG", "RESETSTAT")
            began = time.perf_counter()
            store.invalidate(["bench:tag"])
            took = time.perf_counter() - began
            calls = {name: n for name, n in server.calls().items() if not name.startswith(("config", "info"))}
            assert calls == {"unlink": 1}, calls
            assert not isinstance(store.read(Slot("bench:0", ("bench:",), PLAIN), 0.0), Entry)
            again = repeated(lambda: store.invalidate(["bench:tag"]))
            measured = compared({"PING": ping, "invalidate": again})["invalidate"]
            figures[f"{count:,} entries"] = {"first us": took * 1e6} | measured
    return figures


def measure(entries: list[int]) -> dict[str, Any]:
    server, cluster = RedisServer(preferred()), RedisCluster(preferred())
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            figures: dict[str, Any] = {"sync": sync_hits(client), "batch": batches(client)}
        figures["async, 50 tasks"] = asyncio.run(async_hits(redis.asyncio.Redis.from_url(server.url)))
        with redis.RedisCluster.from_url(cluster.url) as client:
            figures["cluster, sync"] = sync_hits(client)
        host = {"host": "127.0.0.1", "port": cluster.masters[0].port}
        figures["cluster, async, 50 tasks"] = asyncio.run(async_hits(redis.asyncio.RedisCluster(**host)))
        figures["invalidation of a tag"] = invalidation(server, entries)
    finally:
        cluster.close()
        server.close()
    return figures


GOALS = {
    "sync": "store.read <= 1.15",
    "batch": "store.read_many <= 1.6",
    "async, 50 tasks": "store.read <= 0.5",
    "invalidation of a tag": "one command",
}


def report(measured: dict[str, Any]) -> None:
    for name, sides in measured.items():
        print(f"\n{name}" + (f" (goal: {GOALS[name]})" if name in GOALS else ""))
        for side, figures in sides.items():
            spread = f"{figures['lowest']:.2f} to {figures['highest']:.2f}"
            first = f", the first {figures['first us']:.0f} us" if "first us" in figures else ""
            print(f"  {side:42} {figures['us']:8.1f} us  ratio {figures['ratio']:.2f} ({spread}){first}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--entries", type=int, default=1_000_000, help="of the larger tag (default: a million)"
    )
    arguments = parser.parse_args()
    measured = measure(sorted({10_000, arguments.entries}))
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        print(f"redis-py {redis.__version__}, {len(RAW)} bytes, {ROUNDS} rounds")
        report(measured)


if __name__ == "__main__":
    main()
