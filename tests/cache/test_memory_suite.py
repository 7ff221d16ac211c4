"""The memory store keeps the contract of stores, seen as a sync and as an async one."""

from __future__ import annotations

import pytest

from scalekit.cache import IndexedCacheStore, MemoryCacheStore, NonblockingCacheStore
from scalekit.cache._awaitable import AwaitableStore
from scalekit.testing import CacheStoreSuite, ManualClock

# As they are, and not copies: it takes whatever there is.
VALUES = (*CacheStoreSuite.values, [1, {"a": (2.5, None)}], {1, "é"}, 1j, object(), CacheStoreSuite)


class TestMemoryCacheStore(CacheStoreSuite):
    protocols = (IndexedCacheStore, NonblockingCacheStore)
    values = VALUES

    @pytest.fixture
    def store(self):
        return MemoryCacheStore()

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestAsAnAsyncStore(CacheStoreSuite):
    protocols = ()
    values = VALUES

    @pytest.fixture
    def store(self):
        return AwaitableStore(MemoryCacheStore())

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestInRealTime(CacheStoreSuite):
    protocols = (IndexedCacheStore, NonblockingCacheStore)

    @pytest.fixture
    def store(self):
        return MemoryCacheStore()
