"""Loads against invalidations, as many as one likes: is a stale value ever served?

    python -m tests.cache.stress [--reads 1000000] [--mutant after|counters|joins] [--tasks]

Readers ask for keys, whose loader reads the source and dawdles; a writer changes the source, invalidates, and
notes that from now on nothing older may be served; it also takes tokens away where the store lets it. An
answer older than what was noted before its call began is stale. The mutants plant the classic mistakes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from scalekit.cache import AsyncCache, Cache, Entry, MemoryCacheStore, Snapshot
from scalekit.cache._async_flight import AsyncFlights
from scalekit.cache._flight import Flights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = 8
READERS = 6


class Outcome(NamedTuple):
    reads: int
    stale: int
    loads: int
    invalidations: int
    seconds: float


class World:
    """The source, and what may not be served any more."""

    def __init__(self, reads: int) -> None:
        self.source = [0] * KEYS
        self.oldest = [0] * KEYS
        self.left = reads
        self.stale = 0
        self.invalidations = 0

    def change(self, key: int) -> None:
        self.source[key] += 1

    def told(self, key: int) -> None:
        self.oldest[key] = self.source[key]
        self.invalidations += 1

    def judge(self, key: int, oldest: int, answer: int) -> None:
        self.left -= 1
        self.stale += answer < oldest


def stress(cache: Cache, reads: int, *, evict: Callable[[int], object] | None = None) -> Outcome:  # noqa: C901
    """Let threads read `reads` times, and count what is stale."""
    world, began = World(reads), time.perf_counter()

    @cache.cached(ttl=3_600, tags=["item:{key}", "all"])
    def load(key: int) -> int:
        value = world.source[key]
        time.sleep(0 if key % 2 else 0.0002)  # long enough for a whole invalidation in between
        return value

    def read(seed: int) -> None:
        chance = random.Random(seed)
        while world.left > 0:
            key = chance.randrange(KEYS)
            oldest = world.oldest[key]
            world.judge(key, oldest, load(key))
            if chance.random() < 0.05:
                time.sleep(0)  # else hits alone have the interpreter

    def write() -> None:
        chance = random.Random(0)
        while world.left > 0:
            key = chance.randrange(KEYS)
            world.change(key)
            if chance.random() < 0.5:
                cache.invalidate_tags(f"item:{key}")
            else:
                load.invalidate(key)
            world.told(key)
            if evict is not None and chance.random() < 0.3:
                evict(chance.randrange(KEYS))
            time.sleep(0)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(READERS)]
    threads.append(threading.Thread(target=write))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    took = time.perf_counter() - began
    return Outcome(reads, world.stale, cache.stats().loads, world.invalidations, took)


async def async_stress(cache: AsyncCache, reads: int, *, evict: Any = None) -> Outcome:
    """Let tasks read `reads` times, and count what is stale."""
    world, began = World(reads), time.perf_counter()

    @cache.cached(ttl=3_600, tags=["item:{key}", "all"])
    async def load(key: int) -> int:
        value = world.source[key]
        await asyncio.sleep(0 if key % 2 else 0.0002)
        return value

    async def read(seed: int) -> None:
        chance = random.Random(seed)
        while world.left > 0:
            key = chance.randrange(KEYS)
            oldest = world.oldest[key]
            world.judge(key, oldest, await load(key))
            if chance.random() < 0.05:
                await asyncio.sleep(0)

    async def write() -> None:
        chance = random.Random(0)
        while world.left > 0:
            key = chance.randrange(KEYS)
            world.change(key)
            if chance.random() < 0.5:
                await cache.invalidate_tags(f"item:{key}")
            else:
                await load.invalidate(key)
            world.told(key)
            if evict is not None and chance.random() < 0.3:
                await evict(chance.randrange(KEYS))
            await asyncio.sleep(chance.random() * 0.0002)

    await asyncio.gather(write(), *[read(seed) for seed in range(READERS)])
    took = time.perf_counter() - began
    return Outcome(reads, world.stale, cache.stats().loads, world.invalidations, took)


# -- the classic mistakes --------------------------------------------------------------------------


class Afterwards:
    """Mutant: the tokens are read after the load, when the value is written. For sync stores."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self, slot: Any, entry: Any, snapshot: Any, now: float, /) -> Any:
        if snapshot is not None:
            snapshot = self._store.begin(slot, now, False)
        return self._store.write(slot, entry, snapshot, now)


class Counters:
    """Mutant: versions are counters, and one that was evicted counts as 0. A store in memory."""

    nonblocking = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._entries: dict[str, tuple[Entry, Snapshot]] = {}

    def _seen(self, slot: Any) -> Snapshot:
        return Snapshot(self._versions.get(name, 0) for name in (f"load {slot.key}", *slot.tags))

    def read(self, slot: Any, now: float, /) -> Any:
        with self._lock:
            entry, seen = self._entries.get(slot.key, (None, None))
            now_seen = self._seen(slot)
            return entry if entry is not None and seen == now_seen else now_seen

    def begin(self, slot: Any, now: float, outdate: bool, /) -> Any:
        return self._seen(slot)

    def write(self, slot: Any, entry: Any, snapshot: Any, now: float, /) -> bool:
        with self._lock:
            if snapshot != self._seen(slot):
                return False
            self._entries[slot.key] = (entry, snapshot)
            return True

    def delete(self, keys: Any, /) -> None:
        with self._lock:
            for key in keys:
                self._entries.pop(key, None)
        self.invalidate([f"load {key}" for key in keys])

    def invalidate(self, tags: Any, /) -> None:
        with self._lock:
            for tag in tags:
                self._versions[tag] = self._versions.get(tag, 0) + 1

    def evict(self, key: int) -> None:
        with self._lock:
            for name in [name for name in self._versions if name.endswith(f"item:{key}")]:
                del self._versions[name]


@contextlib.contextmanager
def joining_older_flights() -> Iterator[None]:
    """Mutant: whoever misses a key joins whatever load of it is running."""
    originals = [(cls, cls.join) for cls in (Flights, AsyncFlights)]
    for cls, original in originals:

        def join(self: Any, ident: Any, fill: Any, *, original: Any = original, **options: Any) -> Any:
            return original(self, (ident[0], ()), fill, **options)

        cls.join = join  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for cls, original in originals:
            cls.join = original  # type: ignore[method-assign]


def mutated(mutant: str, reads: int) -> Outcome:
    """Run the stress on a cache that makes the mistake."""
    if mutant == "after":
        return stress(Cache(Afterwards(MemoryCacheStore())), reads)
    if mutant == "counters":
        store = Counters()
        return stress(Cache(store), reads, evict=store.evict)
    with joining_older_flights():
        return stress(Cache(), reads)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--mutant", choices=["after", "counters", "joins"])
    parser.add_argument("--tasks", action="store_true", help="tasks instead of threads")
    arguments = parser.parse_args()
    if arguments.mutant:
        outcome = mutated(arguments.mutant, arguments.reads)
    elif arguments.tasks:
        outcome = asyncio.run(async_stress(AsyncCache(), arguments.reads))
    else:
        outcome = stress(Cache(), arguments.reads)
    sys.stdout.write(f"{outcome}\n")
    return 1 if outcome.stale else 0


if __name__ == "__main__":
    sys.exit(main())
