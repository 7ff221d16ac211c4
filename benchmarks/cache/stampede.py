"""Four processes, 25 callers in each, one missing key: how often is it loaded, and how long does it take?

    python -m benchmarks.cache.stampede

Starts a server of its own. The load takes a second. Goals for `lock="cluster"`: 1 load, wall time <= load +
0.15 s, no errors; with a lease shorter than the load: <= 2 loads, no errors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOAD = 1.0
PROCESSES = 4
CALLERS = 25
ROOT = Path(__file__).resolve().parents[2]


class Loads:
    """The loader, which counts in this process."""

    def __init__(self) -> None:
        self.count = 0

    def load(self, key: int) -> int:
        self.count += 1
        time.sleep(LOAD)
        return key

    async def async_load(self, key: int) -> int:
        self.count += 1
        await asyncio.sleep(LOAD)
        return key


def scalekit_sync(url: str, loads: Loads, lock: Any, lease: str) -> tuple[Callable[[int], Any], Any]:
    from scalekit.cache import Cache  # noqa: PLC0415  # a child pays for what it measures, and nothing else
    from scalekit.cache.redis import RedisCacheStore  # noqa: PLC0415
    from scalekit.redis import RedisLink  # noqa: PLC0415

    cache = Cache(RedisCacheStore(RedisLink.from_url(url, timeout="1s")), namespace=f"{lock}{lease}")
    return cache.cached(ttl=60, lock=lock, lease=lease)(loads.load), None


def scalekit_async(url: str, loads: Loads, lock: Any, lease: str) -> tuple[Callable[[int], Any], Any]:
    from scalekit.cache import AsyncCache  # noqa: PLC0415
    from scalekit.cache.redis import AsyncRedisCacheStore  # noqa: PLC0415
    from scalekit.redis import AsyncRedisLink  # noqa: PLC0415

    link = AsyncRedisLink.from_url(url, timeout="1s")
    cache = AsyncCache(AsyncRedisCacheStore(link), namespace=f"async {lock}{lease}")
    return cache.cached(ttl=60, lock=lock, lease=lease)(loads.async_load), link.aclose


def cashews(url: str, loads: Loads, *, lock: bool) -> tuple[Callable[[int], Any], Any]:
    from cashews import Cache  # noqa: PLC0415

    cache = Cache()
    cache.setup(url)
    return cache(ttl=60, lock=lock, prefix=f"lock{lock}")(loads.async_load), cache.close


def dogpile(url: str, loads: Loads) -> tuple[Callable[[int], Any], Any]:
    from dogpile.cache import make_region  # noqa: PLC0415

    arguments = {"url": url, "distributed_lock": True, "thread_local_lock": False}
    region = make_region().configure("dogpile.cache.redis", expiration_time=60, arguments=arguments)

    def load(key: int) -> int:  # it sets attributes of what it decorates
        return loads.load(key)

    return region.cache_on_arguments()(load), None


def aiocache(url: str, loads: Loads, lease: float) -> tuple[Callable[[int], Any], Any]:
    from aiocache import RedisCache, cached_stampede  # noqa: PLC0415

    port = int(url.rpartition(":")[2].partition("/")[0])
    decorate: Any = cached_stampede(
        ttl=60, lease=lease, cache=RedisCache, endpoint="127.0.0.1", port=port, namespace=f"aio{lease}"
    )
    return decorate(loads.async_load), None


CONTENDERS: dict[str, Any] = {
    'scalekit, "cluster"': lambda url, loads: scalekit_sync(url, loads, "cluster", "30s"),
    'scalekit, "cluster", lease 0.5 s': lambda url, loads: scalekit_sync(url, loads, "cluster", "500ms"),
    'scalekit async, "cluster"': lambda url, loads: scalekit_async(url, loads, "cluster", "30s"),
    'scalekit async, "cluster", lease 0.5 s': lambda url, loads: scalekit_async(
        url, loads, "cluster", "500ms"
    ),
    'scalekit, "process"': lambda url, loads: scalekit_sync(url, loads, "process", "30s"),
    "dogpile.cache, distributed_lock": dogpile,
    "cashews, lock": lambda url, loads: cashews(url, loads, lock=True),
    "cashews": lambda url, loads: cashews(url, loads, lock=False),
    "aiocache, lease 3 s": lambda url, loads: aiocache(url, loads, 3),
    "aiocache, lease 0.5 s": lambda url, loads: aiocache(url, loads, 0.5),
}


def child(name: str, url: str) -> None:
    """Call at the parent's word, and print what happened."""
    loads = Loads()
    call, close = CONTENDERS[name](url, loads)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    if asyncio.iscoroutinefunction(call):

        async def together() -> list[Any]:
            outcomes = await asyncio.gather(*[call(7) for _ in range(CALLERS)], return_exceptions=True)
            if close is not None:
                await close()
            return outcomes

        outcomes = asyncio.run(together())
    else:
        with ThreadPoolExecutor(CALLERS) as pool:
            futures = [pool.submit(call, 7) for _ in range(CALLERS)]
        outcomes = [future.exception() or future.result() for future in futures]
    errors = [type(outcome).__name__ for outcome in outcomes if outcome != 7]
    print(json.dumps({"loads": loads.count, "errors": errors, "wall": time.perf_counter() - began}))


def stampede(name: str, url: str) -> dict[str, Any]:
    """Let all processes begin at once, and sum up."""
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "benchmarks.cache.stampede",
                "--child",
                name,
                "--url",
                url,
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{name} did not start"
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=60)[0]) for process in children]
    return {
        "loads": sum(one["loads"] for one in told),
        "errors": [error for one in told for error in one["errors"]],
        "wall": max(one["wall"] for one in told),
    }


def main() -> None:
    from tests.servers.redis import RedisServer, preferred  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.url)
        return
    server = RedisServer(preferred())
    server.start()
    try:
        print(f"{'':42}{'loads':>6}{'wall':>9}   errors")
        for name in CONTENDERS:
            sums = stampede(name, server.url)
            kinds = ", ".join(f"{sums['errors'].count(e)} {e}" for e in sorted(set(sums["errors"]))) or "none"
            print(f"{name:42}{sums['loads']:>6}{sums['wall']:>7.2f} s   {kinds}")
    finally:
        server.close()


if __name__ == "__main__":
    main()
