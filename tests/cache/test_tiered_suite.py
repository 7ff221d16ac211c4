"""The tiered stores keep the contract of stores while the near tier answers, on every server found."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.cache import (
    AsyncBatchCacheStore,
    AsyncLeasingCacheStore,
    AsyncTieredCacheStore,
    BatchCacheStore,
    Entry,
    IndexedCacheStore,
    LeasingCacheStore,
    MemoryCacheStore,
    TieredCacheStore,
    _frame,
)
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing import CacheStoreSuite
from scalekit.testing._cache_probe import place
from tests.servers.lifeline import wait_until


@pytest.fixture(autouse=True)
def _apart(key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)


class Counting(MemoryCacheStore):
    """A near tier that counts its answers."""

    answers = 0

    def read(self, slot, now, /):
        found = super().read(slot, now)
        self.answers += isinstance(found, Entry)
        return found


class Twice(TieredCacheStore):
    """Reads what it finds once more, by now from the near tier as a rule, and answers that."""

    def read(self, slot, now, /):
        first = super().read(slot, now)
        if not isinstance(first, Entry):
            return first
        second = super().read(slot, now)
        return second if isinstance(second, Entry) else first


class AsyncTwice(AsyncTieredCacheStore):
    async def read(self, slot, now, /):
        while not self.coherent:
            await super().read(place("suite:first"), now)
            await asyncio.sleep(0.001)
        first = await super().read(slot, now)
        if not isinstance(first, Entry):
            return first
        second = await super().read(slot, now)
        return second if isinstance(second, Entry) else first


class TestTieredCacheStore(CacheStoreSuite):
    protocols = (BatchCacheStore, LeasingCacheStore, IndexedCacheStore)

    @pytest.fixture
    def store(self, redis_server):
        with RedisLink.from_url(redis_server.url, timeout="5s") as link:
            store = Twice(Counting(), RedisCacheStore(link), max_staleness="1h")
            store.read(place("suite:first"), 0.0)
            wait_until(lambda: store.coherent, "the near tier may answer")
            yield store
            assert store.coherent, "it was in it all the time"

    def test_the_near_tier_has_answered(self):
        slot = self._probe.slot("t")
        assert self._probe.write(slot, "value")
        wait_until(lambda: self._probe.value(slot) and self._probe.store._store.answers, "it answers")


class TestAsyncTieredCacheStore(CacheStoreSuite):
    protocols = (AsyncBatchCacheStore, AsyncLeasingCacheStore, IndexedCacheStore)

    @pytest.fixture
    def store(self, redis_server):
        # Its connections close with the suite's event loop.
        link = AsyncRedisLink.from_url(redis_server.url, timeout="5s")
        return AsyncTwice(Counting(), AsyncRedisCacheStore(link), max_staleness="1h")

    def test_the_near_tier_has_answered(self):
        slot = self._probe.slot("t")
        assert self._probe.write(slot, "value")
        wait_until(lambda: self._probe.value(slot) and self._probe.store._store.answers, "it answers")
