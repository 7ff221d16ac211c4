"""A store in memory that elects: two caches on it are two processes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from scalekit.cache import MemoryCacheStore
from scalekit.errors import BackendError


class Leases:
    """The leases of all processes, which end by `clock`; writes down what is asked of it."""

    def __init__(self, clock):
        self._clock = clock
        self._condition = threading.Condition()
        self.held = {}
        self.calls = Counter()
        self.fails = set()
        self.waiting = 0
        self.denied = 0

    def check(self, name):
        self.calls[name] += 1
        if name in self.fails:
            raise BackendError("leases", name, "injected fault")

    def acquire(self, key, owner, seconds):
        self.check("acquire")
        with self._condition:
            holder, ends = self.held.get(key, (owner, 0.0))
            if holder != owner and ends > self._clock():
                self.denied += 1
                return False
            self.held[key] = (owner, self._clock() + seconds)
            return True

    def release(self, key, owner):
        self.check("release")
        with self._condition:
            if self.held.get(key, (None,))[0] == owner:
                del self.held[key]
            self._condition.notify_all()

    def wait(self, key, seconds):
        self.check("wait")
        with self._condition:
            self.waiting += 1
            self._condition.wait_for(lambda: key not in self.held, seconds)
            self.waiting -= 1

    async def async_wait(self, key, seconds):
        self.check("wait")
        self.waiting += 1
        try:
            ends = asyncio.get_running_loop().time() + seconds
            # Released from any thread, so no event of this loop would do.
            while key in self.held and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        finally:
            self.waiting -= 1


class LeasingStore:
    """A sync store of entries that all processes share, and of leases."""

    def __init__(self, entries, leases):
        self.entries = entries
        self.leases = leases
        self.acquire, self.release, self.wait = leases.acquire, leases.release, leases.wait

    def read(self, slot, now, /):
        self.leases.check("read")
        return self.entries.read(slot, now)

    def begin(self, slot, now, outdate, /):
        return self.entries.begin(slot, now, outdate)

    def write(self, slot, entry, snapshot, now, /):
        return self.entries.write(slot, entry, snapshot, now)

    def delete(self, keys, /):
        self.entries.delete(keys)

    def invalidate(self, tags, /):
        self.entries.invalidate(tags)

    def acquire(self, key, owner, seconds, /):
        raise NotImplementedError

    def release(self, key, owner, /):
        raise NotImplementedError

    def wait(self, key, seconds, /):
        raise NotImplementedError


class AsyncLeasingStore:
    """The same, to be awaited."""

    def __init__(self, entries, leases):
        self.entries = entries
        self.leases = leases

    async def read(self, slot, now, /):
        self.leases.check("read")
        await asyncio.sleep(0)
        return self.entries.read(slot, now)

    async def begin(self, slot, now, outdate, /):
        return self.entries.begin(slot, now, outdate)

    async def write(self, slot, entry, snapshot, now, /):
        await asyncio.sleep(0)
        return self.entries.write(slot, entry, snapshot, now)

    async def delete(self, keys, /):
        self.entries.delete(keys)

    async def invalidate(self, tags, /):
        self.entries.invalidate(tags)

    async def acquire(self, key, owner, seconds, /):
        await asyncio.sleep(0)
        return self.leases.acquire(key, owner, seconds)

    async def release(self, key, owner, /):
        self.leases.release(key, owner)

    async def wait(self, key, seconds, /):
        await self.leases.async_wait(key, seconds)


class Cluster:
    """Some processes with one store."""

    def __init__(self, either, kind, clock, *, count=2, entries=None, **options):
        self.leases = Leases(clock)
        self.entries = MemoryCacheStore() if entries is None else entries
        store = AsyncLeasingStore if kind.is_async else LeasingStore
        self.faces = [either(store(self.entries, self.leases), clock=clock, **options) for _ in range(count)]
