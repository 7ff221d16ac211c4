"""What callers see when the store fails: fault x store x mode -> answer, and milliseconds beyond the load.

    python -m benchmarks.cache.faults

Starts servers of its own: Valkey, a Redis Cluster, PostgreSQL. A row is one fault. In the columns: a call of
a cached function whose value was stored before the fault, then one whose value was not, with
`on_error="load"` and "raise"; an invalidation with `on_error_invalidate="raise"` and "queue"; a call after
that, and the same call once the fault is gone: neither may be answered with a value from before it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine

from scalekit.cache import Cache, MemoryCacheStore, TieredCacheStore
from scalekit.cache.redis import RedisCacheStore
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore
from scalekit.redis import RedisLink
from tests.servers import postgres, redis
from tests.servers.cluster import RedisCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOAD = 0.002


class Source:
    def __init__(self) -> None:
        self.version = 1

    def load(self, key: int) -> str:
        time.sleep(LOAD)
        return f"{key} v{self.version}"


def seen(call: Callable[..., Any], *arguments: Any, load: float = LOAD) -> str:
    """Return what a call answered or raised, and how long it took beyond a load."""
    began = time.perf_counter()
    try:
        answer = call(*arguments)
        told = "done" if answer is None else str(answer).rpartition(" ")[2]
    except Exception as error:  # noqa: BLE001
        told = type(error).__name__.removeprefix("Backend")
    return f"{told} {max(0.0, time.perf_counter() - began - load) * 1e3:.1f}"


def row(fault: str, store: Any, begin: Callable[[], Any], end: Callable[[], Any], tag: str = "t") -> None:
    """Run one fault through the modes, and print what was seen."""
    source = Source()
    loads = Cache(store, namespace="loads", on_error_invalidate="queue")
    raises = Cache(store, namespace="raises", on_error="raise")
    kept, strict = (cache.cached(ttl=60, tags=[tag])(source.load) for cache in (loads, raises))
    for _ in range(40):  # until the link is warm, and a near tier coherent
        with contextlib.suppress(Exception):
            kept(1)
            strict(1)
        time.sleep(0.01)
    begin()
    cells = [
        f"{seen(kept, 1, load=0)}, {seen(kept, 2)}",
        f"{seen(strict, 1, load=0)}, {seen(strict, 2)}",
        seen(raises.invalidate_tags, tag, load=0),
    ]
    source.version = 2
    cells.append(seen(loads.invalidate_tags, tag, load=0))
    during = seen(kept, 1)
    end()
    deadline = time.monotonic() + 10
    while loads._reads.invalidations and time.monotonic() < deadline:  # noqa: SLF001  # queued
        kept(1)
        time.sleep(0.05)
    cells += [during, seen(kept, 1)]
    print(f"| {fault} | " + " | ".join(cells) + " |", flush=True)


@contextlib.contextmanager
def valkey(*options: str) -> Iterator[Any]:
    server = redis.RedisServer(redis.preferred(), *options)
    server.start()
    try:
        yield server
    finally:
        server.close()


def fill(server: Any) -> None:
    """Let the server's memory be used up, so that it refuses what needs more."""
    server.cmd("CONFIG", "SET", "maxmemory", "1")


def redis_rows() -> None:
    for name, wrapped in (("Redis", False), ("tiered", True)):
        for fault in ("refused", "frozen", "restarted", "out of memory"):
            with valkey() as server, RedisLink.from_url(server.url) as link:
                store: Any = RedisCacheStore(link)
                if wrapped:
                    store = TieredCacheStore(MemoryCacheStore(), store)
                begin, end = {
                    "refused": (server.kill, server.restart),
                    "frozen": (server.freeze, server.thaw),
                    "restarted": (lambda s=server: (s.kill(), s.restart()), lambda: None),
                    "out of memory": (
                        lambda s=server: fill(s),
                        lambda s=server: s.cmd("CONFIG", "SET", "maxmemory", "0"),
                    ),
                }[fault]
                row(f"{name}, {fault}", store, begin, end)


def cluster_row() -> None:
    cluster = RedisCluster(redis.preferred())
    try:
        import redis as redis_py  # noqa: PLC0415

        client = redis_py.RedisCluster.from_url(cluster.url)
        with RedisLink(client) as link:
            store = RedisCacheStore(link)
            for tag in map(str, itertools.count()):  # one that has the same master in both namespaces
                owner = cluster.master_of(f"sk:t:loads:{tag}")
                if cluster.master_of(f"sk:t:raises:{tag}") is owner:
                    break
            row("Cluster, the tag's master frozen", store, owner.freeze, owner.thaw, tag)
        client.close()
    finally:
        cluster.close()


def postgres_rows() -> None:
    for fault in ("refused", "frozen"):
        server = postgres.PostgresServer(postgres.preferred())
        server.start()
        engine = create_engine(server.url())
        try:
            begin, end = (server.kill, server.restart) if fault == "refused" else (server.freeze, server.thaw)
            row(f"PostgreSQL, {fault}", SQLAlchemyCacheStore(engine), begin, end)
        finally:
            engine.dispose()
            server.close()


def main() -> None:
    logging.disable(logging.CRITICAL)
    print('| fault | stored, not ("load") | same ("raise") | invalidate ("raise") | "queue" | then | after |')
    print("|---|---|---|---|---|---|---|")
    redis_rows()
    cluster_row()
    postgres_rows()


if __name__ == "__main__":
    main()
