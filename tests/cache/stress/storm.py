"""Loads against invalidations, as many as one likes: is a stale value ever served?

Readers ask for keys, whose loader reads the source and dawdles; a writer changes the source, invalidates, and
notes that from now on nothing older may be served; it also takes tokens away where the store lets it. An
answer older than what was noted before its call began is stale. `mutants` plants the classic mistakes,
`stores` has the stores, and `python -m tests.cache.stress` runs them all.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache import AsyncCache, Cache

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
