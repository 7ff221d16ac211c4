"""What an entry costs in memory, and what eviction costs: `python -m benchmarks.cache.memory`.

Every contender caches the same function of one int, 100,000 calls of it, in a process of its own. The
arguments and the one value that all calls return exist before, so what remains is the cache's:

* heap: tracemalloc's sum of what was asked of the allocator, net of garbage. Exact and repeatable, but
  blind to what native code allocates by itself (all of cachebox) and to what allocators round up.
* names: of the heap, the texts and tuples by which a cache knows an entry: its key, and our tag of its
  own. They are as long as an application's names are, so our goals are for the rest, `net`.
* process: by how much the process has grown (RSS), native code and rounding included. It moves in steps
  of whole arenas and contains the holes that garbage has left: only clear differences mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import tracemalloc
from itertools import accumulate
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import cachetools

from benchmarks.cache._peers import BOUND, async_decorators, sync_decorators
from scalekit.cache import Cache, Entry, MemoryCacheStore, MsgspecSerializer, Slot

if TYPE_CHECKING:
    from collections.abc import Callable

N = BOUND
TTL = 3_600.0
VALUE = object()
ROOT = Path(__file__).resolve().parents[2]

OURS: dict[str, tuple[dict[str, Any], dict[str, Any], int | None]] = {
    "scalekit": ({}, {}, 250),
    "scalekit, 2 tags": ({}, {"tags": ("user:{user_id}", "users")}, 320),
    "scalekit, stale": ({}, {"stale_while_revalidate": "1h"}, None),
    "scalekit, max_bytes": ({"max_bytes": 2**40}, {}, None),
}
PEERS = ("cachetools", "cachebox", "theine")
ASYNC_PEERS = ("aiocache", "cashews")
HAND = "dict by hand, no bound"


def profile(user_id: int) -> object:  # noqa: ARG001
    return VALUE


async def async_profile(user_id: int) -> object:  # noqa: ARG001
    return VALUE


def by_hand(hits: dict[int, tuple[Any, float]]) -> Callable[[int], Any]:
    def call(user_id: int) -> Any:
        hit = hits.get(user_id)
        if hit is not None and hit[1] > monotonic():
            return hit[0]
        value = profile(user_id)
        hits[user_id] = (value, monotonic() + TTL)
        return value

    return call


def contender(name: str) -> Callable[[int], Any]:
    if name in OURS:
        store, options, _ = OURS[name]
        return Cache(MemoryCacheStore(max_entries=N, **store)).cached(ttl=TTL, **options)(profile)
    if name in PEERS:
        return sync_decorators(TTL)[name](profile)
    if name == HAND:
        return by_hand({})
    function = async_decorators(TTL)[name](async_profile)
    loop = asyncio.new_event_loop()
    return lambda user_id: loop.run_until_complete(function(user_id))


def bytes_of_names(name: str, function: Any, arguments: list[int]) -> int:
    """Make the names once more, one by one, and sum up what they take."""
    if name in OURS:
        tags = OURS[name][1].get("tags", ())
        texts = [f"cache:{function.key(i)}" for i in arguments]
        texts += [f"cache:{tag.format(user_id=i)}" for tag in tags if "{" in tag for i in arguments]
        return sum(map(sys.getsizeof, texts))
    if name == "cachetools":
        return sum(map(sys.getsizeof, function.cache))
    if name == "aiocache":  # its keys: the module, the name, the arguments
        return sum(sys.getsizeof(f"{__name__}async_profile({i},)[]") for i in arguments)
    if name == "cashews":
        return sum(sys.getsizeof(f"{__name__}:async_profile:user_id:{i}") for i in arguments)
    return 0  # the argument itself, or in native code


def rss() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * 4_096


def measure(name: str, *, traced: bool) -> dict[str, float]:
    """Fill one contender, and return bytes per entry."""
    function = contender(name)
    arguments = list(range(N, 2 * N))
    for i in range(100):
        function(i)
    gc.collect()
    if traced:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if traced else rss()
    for i in arguments:
        function(i)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if traced else rss()
    if not traced:
        return {"process": (after - before) / N}
    tracemalloc.stop()
    return {"heap": (after - before) / N, "names": bytes_of_names(name, function, arguments) / N}


def in_a_process(name: str, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.cache.memory", "--one", name, *options]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def entries() -> None:
    print(f"bytes per entry of {N:,}     heap   names     net   process   goal (net)")
    for name in (*OURS, HAND, *PEERS, *ASYNC_PEERS):
        figures = in_a_process(name, "--traced") | in_a_process(name)
        row = [figures["heap"], figures["names"], figures["heap"] - figures["names"]]
        goal = OURS[name][2] if name in OURS else None
        numbers = "".join(f"{number:>8.0f}" for number in row)
        print(f"  {name:26}{numbers}{figures['process']:>10.0f}{f'   <= {goal}' if goal else ''}")
    print()


# -- eviction -----------------------------------------------------------------------------------------

_SERIALIZER = MsgspecSerializer(Any)


def slot(key: object) -> Slot:
    return Slot(str(key), (), _SERIALIZER)


class Sieve:
    def __init__(self, size: int) -> None:
        self.store = MemoryCacheStore(max_entries=size)

    def get(self, key: int) -> bool:
        place = slot(key)
        if isinstance(self.store.read(place, 0.0), Entry):
            return True
        self.store.write(place, Entry(key, expires=1.0), None, 0.0)
        return False


class Peer:
    def __init__(self, held: cachetools.Cache[int, int]) -> None:
        self.held = held

    def get(self, key: int) -> bool:
        if self.held.get(key) is not None:
            return True
        self.held[key] = 1
        return False


POLICIES: dict[str, Any] = {
    "ours": Sieve,
    "LRU": lambda size: Peer(cachetools.LRUCache(size)),
    "LFU": lambda size: Peer(cachetools.LFUCache(size)),
    "FIFO": lambda size: Peer(cachetools.FIFOCache(size)),
}


def hit_ratios() -> None:
    """Replay zipf's law on our policy and on cachetools', alone and with scans of keys that never return."""
    randomly = random.Random(7)
    keys, calls = 50_000, 300_000
    for exponent in (0.8, 1.0):
        weights = list(accumulate(1 / rank**exponent for rank in range(1, keys + 1)))
        zipf = randomly.choices(range(keys), cum_weights=weights, k=calls)
        scans = [key if i % 10_000 < 7_000 else keys + i for i, key in enumerate(zipf)]
        for title, trace in ((f"zipf {exponent}", zipf), (f"zipf {exponent} with scans", scans)):
            row = f"  {title:26}"
            for size in (keys // 100, keys // 10):
                row += "  "
                for policy in POLICIES.values():
                    row += f"{sum(map(policy(size).get, trace)) / calls:>7.3f}"
            print(row)


def pauses() -> None:
    """The longest single write into a full store of which everything was read."""
    times = zip(*[write_times() for _ in range(3)], strict=True)
    took = sorted(map(min, times), reverse=True)  # what others did to this machine is not ours
    print(f"writes into a full store of {N:,} entries that were all read:")
    print(
        f"  longest {took[0] * 1e3:.2f} ms, tenth {took[9] * 1e3:.2f} ms, median {took[N // 2] * 1e6:.1f} us"
    )


def write_times() -> list[float]:
    store = MemoryCacheStore(max_entries=N)
    for i in range(N):
        store.write(slot(i), Entry(VALUE, expires=TTL), None, 0.0)
    for i in range(N):
        store.read(slot(i), 0.0)
    gc.disable()
    took = []
    for i in range(N, 2 * N):
        place, entry = slot(i), Entry(VALUE, expires=TTL)
        start = perf_counter()
        store.write(place, entry, None, 0.0)
        took.append(perf_counter() - start)
    gc.enable()
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one")
    parser.add_argument("--traced", action="store_true")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, traced=options.traced)))
        return
    entries()
    print(f"hit ratio at 1 % and 10 %   {('  ' + ''.join(f'{name:>7}' for name in POLICIES)) * 2}")
    hit_ratios()
    print()
    pauses()


if __name__ == "__main__":
    main()
