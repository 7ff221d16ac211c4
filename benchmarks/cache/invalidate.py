"""Invalidating a tag that many entries carry, against cashews: in memory and on Redis.

    python -m benchmarks.cache.invalidate [--many 1000000]

Starts a server of its own. Ours is one command whatever the number of entries: it is shown for 10^4 and for
`--many` entries, next to a PING through the same link. Goal: >= 5,000 x faster than cashews, which takes
longer the more there are: shown for 10^4, and on Redis for 10^5 (in memory 10^5 took it two minutes).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

from cashews import Cache as Cashews

from scalekit.cache import AsyncCache, MemoryCacheStore
from scalekit.cache.redis import AsyncRedisCacheStore
from scalekit.redis import AsyncRedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FEW = 10_000
TOGETHER = 500


async def fill(count: int, put: Callable[[int], Awaitable[object]]) -> None:
    for start in range(0, count, TOGETHER):
        await asyncio.gather(*[put(n) for n in range(start, min(start + TOGETHER, count))])


async def seconds(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def ours(cache: AsyncCache, count: int) -> float:
    """Return the median of several invalidations, each of which ends what is there, and is seen to."""
    await fill(count, lambda n: cache.set(f"k{n}", n, ttl=3_600, tags=["all"]))
    assert await cache.get(f"k{count - 1}") == count - 1
    took = [await seconds(lambda: cache.invalidate_tags("all"))]
    assert await cache.get(f"k{count - 1}") is None
    for _ in range(20):  # of a tag that is in use: again and again with an entry that carries it
        await cache.set("k0", 0, ttl=3_600, tags=["all"])
        took.append(await seconds(lambda: cache.invalidate_tags("all")))
    return statistics.median(took)


async def theirs(url: str, count: int, **options: Any) -> float:
    cache = Cashews()
    cache.setup(url, **options)
    cache.register_tag("all", key_template="k{n}")
    await fill(count, lambda n: cache.set(f"k{n}", n, expire=3_600, tags=["all"]))
    assert await cache.get(f"k{count - 1}") == count - 1
    took = await seconds(lambda: cache.delete_tags("all"))
    assert await cache.get(f"k{count - 1}") is None
    await cache.close()
    return took


def show(name: str, figures: dict[str, float]) -> None:
    print(f"{name:10}" + "".join(f"{label}: {took * 1e6:,.1f} us   " for label, took in figures.items()))


async def main(many: int) -> None:
    server = RedisServer(preferred())
    server.start()
    try:
        async with AsyncRedisLink.from_url(server.url, timeout="10s") as link:
            pings = statistics.median([await seconds(lambda: link.execute("PING")) for _ in range(200)])
            for name, make, peers, url, options in (
                ("memory", lambda n: MemoryCacheStore(max_entries=2 * n), (FEW,), "mem://", {"size": many}),
                ("redis", lambda _: AsyncRedisCacheStore(link), (FEW, 10 * FEW), server.url, {}),
            ):
                few = await ours(AsyncCache(make(FEW), namespace="few"), FEW)
                lots = await ours(AsyncCache(make(many), namespace="many"), many)
                show(name, {f"ours, {FEW:,}": few, f"ours, {many:,}": lots})
                for count in peers:
                    peer = await theirs(url, count, **options)
                    show("", {f"cashews, {count:,}": peer})
                    print(f"{'':10}cashews / ours: {peer / max(few, lots):,.0f} (goal >= 5,000)")
            show("", {"PING": pings})
    finally:
        server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--many", type=int, default=200_000, help="entries of the larger tag (default 200,000)"
    )
    asyncio.run(main(parser.parse_args().many))
