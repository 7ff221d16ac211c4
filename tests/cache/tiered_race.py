"""One process of the race between tiered reads and invalidations: `python -m tests.cache.tiered_race …`.

Several of these share a server and a file. The file holds the *source*, a number that only grows, and for
each process a log of its invalidations: which number the source had before, and when the call returned. A
read that begins later must not get less. Of its own process's invalidations that holds at once; of another's
from when the near tier has proof that all announcements up to then were heard, so no delay has to be guessed.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import mmap
import random
import struct
import threading
import time
from pathlib import Path

from scalekit.cache import AsyncTieredCacheStore, Cache, Entry, MemoryCacheStore, TieredCacheStore, _frame
from scalekit.cache._entry import NamedEntry
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.cache.tiered import _near
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._cache_probe import place

_LOG = 1 << 20
_HEAD = 16  # the source, and whether anything stale was found
_RECORD = struct.Struct("=qd")
_NUMBER = 8
# Reads per invalidation, at the most and at the least: on a busy machine, where reads are slow and the time
# between invalidations is not, each would be a miss, and the race would take minutes.
_READS_PER_INVALIDATION = 400
_READS_BETWEEN = 100
KEYS = 3


class Shared:
    """The source and the logs, in a file that all processes map."""

    def __init__(self, path: Path, processes: int):
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), _HEAD + processes * _LOG)
        # Numbers that others read without the lock go through this view, which moves 8 aligned bytes at once.
        # `struct` moves one after the other: a reader has seen 255 become 0 before it was 256.
        self._numbers = memoryview(self._map).cast("q")
        self._processes = processes

    @staticmethod
    def create(path: Path, processes: int) -> None:
        path.write_bytes(bytes(_HEAD + processes * _LOG))

    @property
    def source(self) -> int:
        return self._numbers[0]

    @property
    def found(self) -> bool:
        return bool(self._numbers[1])

    def find(self) -> None:
        self._numbers[1] = 1

    def grow(self) -> int:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._numbers[0] += 1
            return self.source
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def log(self, process: int, number: int) -> None:
        start = _HEAD + process * _LOG
        count = self._numbers[start // _NUMBER]
        at = start + _NUMBER + count * _RECORD.size
        if at + _RECORD.size <= start + _LOG:
            _RECORD.pack_into(self._map, at, number, time.monotonic())
            self._numbers[start // _NUMBER] = count + 1  # last: what is counted is whole

    def least(self, process: int, proven: float) -> int:
        """The least number that a read which begins now may get in this process."""
        least = 0
        for other in range(self._processes):
            start = _HEAD + other * _LOG
            count = self._numbers[start // _NUMBER]
            while count:
                number, returned = _RECORD.unpack_from(
                    self._map, start + _NUMBER + (count - 1) * _RECORD.size
                )
                if other == process or returned < proven:
                    least = max(least, number)
                    break
                count -= 1
        return least


class Racer:
    """Reads, loads and invalidates until it has read often enough; counts what was stale."""

    def __init__(self, options):
        self.me, self.reads = options.me, options.reads
        self.shared = Shared(Path(options.file), options.processes)
        self.slots = [place(f"race:{i}", "race:", f"race:t{i}") for i in range(KEYS)]
        self.max_staleness = 0.02  # proofs come four times as often
        self.done = self.stale = self.near = self.invalidations = 0
        self.over = False

    def proven(self):
        return self.store._near._ends - self.max_staleness

    def judged(self, value, least, *, near):
        self.done += 1
        self.near += near
        if value < least:
            self.stale += 1
            self.shared.find()  # it is known now: all may end
        if self.done >= self.reads and self.invalidations >= self.reads // _READS_PER_INVALIDATION:
            self.over = True
        self.over = self.over or (self.done % 64 == 0 and self.shared.found)

    @property
    def early(self):
        """Whether it is too soon for another invalidation."""
        return not self.over and self.done < self.invalidations * _READS_BETWEEN

    def changed(self, number):
        self.shared.log(self.me, number)
        self.invalidations += 1


class Threads(Racer):
    def run(self, url):
        with RedisLink.from_url(url, timeout="10s") as link:
            near = MemoryCacheStore()
            self.store = TieredCacheStore(near, RedisCacheStore(link), max_staleness=self.max_staleness)
            self.function = Cache(self.store, namespace="race").cached(ttl=60, key=None, tags=["f"])(
                self.load
            )
            workers = [self.read, self.read, self.call, self.invalidate]
            threads = [threading.Thread(target=worker) for worker in workers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def load(self, key: int) -> int:
        value = self.shared.source
        time.sleep(random.random() * 0.0005)
        return value

    def read(self):
        while not self.over:
            slot = random.choice(self.slots)
            least = self.shared.least(self.me, self.proven())
            now = time.monotonic()
            found = self.store.read(slot, now)
            if isinstance(found, Entry):
                self.judged(found.value, least, near=not isinstance(found, NamedEntry))
                continue
            value = self.load(0)
            self.store.write(slot, Entry(value, expires=now + 60), found, now)

    def call(self):
        while not self.over:
            least = self.shared.least(self.me, self.proven())
            self.judged(self.function(1), least, near=False)

    def invalidate(self):
        while not self.over:
            time.sleep(random.random() * 0.015)
            while self.early:
                time.sleep(0.001)
            number = self.shared.grow()
            self.store.invalidate([*(slot.tags[1] for slot in self.slots), "race:f"])
            self.changed(number)


class Tasks(Racer):
    def run(self, url):
        asyncio.run(self.main(url))

    async def main(self, url):
        async with AsyncRedisLink.from_url(url, timeout="10s") as link:
            near = MemoryCacheStore()
            self.store = AsyncTieredCacheStore(
                near, AsyncRedisCacheStore(link), max_staleness=self.max_staleness
            )
            await asyncio.gather(self.read(), self.read(), self.read(), self.invalidate())

    async def read(self):
        while not self.over:
            slot = random.choice(self.slots)
            least = self.shared.least(self.me, self.proven())
            now = time.monotonic()
            found = await self.store.read(slot, now)
            if isinstance(found, Entry):
                self.judged(found.value, least, near=not isinstance(found, NamedEntry))
                if random.random() < 0.2:  # a hit in the near tier never lets anybody else run
                    await asyncio.sleep(0)
                continue
            value = self.shared.source
            await asyncio.sleep(random.random() * 0.0005)
            await self.store.write(slot, Entry(value, expires=now + 60), found, now)

    async def invalidate(self):
        while not self.over:
            await asyncio.sleep(random.random() * 0.015)
            while self.early:  # noqa: ASYNC110  # reads end it
                await asyncio.sleep(0.001)
            number = self.shared.grow()
            await self.store.invalidate([slot.tags[1] for slot in self.slots])
            self.changed(number)


def mutate(name: str) -> None:
    """Break the near tier in one of the ways that the race must find."""
    if name == "kept without a snapshot":

        def keep(self, found, now):
            if isinstance(found, Entry) and found.fresh_until > now:
                self._store.write(self._place, Entry(found.value, expires=found.expires), None, now)

        _near.Copying.keep = keep
    elif name == "deaf":
        _near.Near.changed = lambda *_: None
    elif name == "snapshot after the answer":

        def keep(self, found, now):
            if isinstance(found, Entry) and found.fresh_until > now:
                snapshot = self._store.begin(self._place, now, False)
                self._store.write(self._place, Entry(found.value, expires=found.expires), snapshot, now)

        _near.Copying.keep = keep
    else:
        assert name == "", name


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("url", "prefix", "file", "kind"):
        parser.add_argument(f"--{name}")
    for name in ("me", "processes", "reads"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--mutant", default="")
    options = parser.parse_args()
    _frame.PREFIX = options.prefix
    mutate(options.mutant)
    racer = (Threads if options.kind == "sync" else Tasks)(options)
    racer.run(options.url)
    print(racer.done, racer.near, racer.invalidations, racer.stale)  # noqa: T201


if __name__ == "__main__":
    main()
