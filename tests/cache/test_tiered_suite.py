"""The tiered stores keep the contract of stores while the near tier answers, on every server found."""

from __future__ import annotations

import pytest

from scalekit.cache import Entry, MemoryCacheStore, TieredCacheStore, _frame
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink
from scalekit.testing import CacheStoreSuite
from scalekit.testing._cache_probe import place
from tests.cache.test_redis_suite import VALUES
from tests.servers.lifeline import wait_until


@pytest.fixture(autouse=True)
def _apart(key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)


class Unasked:
    """A near tier that counts how often it answered."""

    def __init__(self):
        self.answers = 0
        self._store = MemoryCacheStore()

    def __getattr__(self, name):
        return getattr(self._store, name)

    nonblocking = True

    def read(self, slot, now):
        found = self._store.read(slot, now)
        self.answers += isinstance(found, Entry)
        return found


class TestTieredCacheStore(CacheStoreSuite):
    values = VALUES

    @pytest.fixture
    def store(self, redis_server):
        with RedisLink.from_url(redis_server.url, timeout="5s") as link:
            near = Unasked()
            store = TieredCacheStore(near, RedisCacheStore(link), max_staleness="1h")
            store.read(place("suite:first"), 0.0)
            wait_until(lambda: store.coherent, "the near tier is coherent")
            yield store
            assert store.coherent
            # Few tests read a value twice, so this proves no more than that the near tier was in it at all.
            self.answers = near.answers

    def test_the_near_tier_answers(self):
        slot = self._probe.slot("t")
        assert self._probe.write(slot, "value")
        wait_until(lambda: self._probe.value(slot) and self._probe.store._near.store.answers, "it answers")
