"""The memory store keeps the contract of stores, seen as a sync and as an async one."""

from __future__ import annotations

import pytest

from scalekit.cache import MemoryCacheStore
from scalekit.cache._awaitable import AwaitableStore
from scalekit.testing import CacheStoreSuite, ManualClock


class TestMemoryCacheStore(CacheStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryCacheStore()

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestAsAnAsyncStore(CacheStoreSuite):
    @pytest.fixture
    def store(self):
        return AwaitableStore(MemoryCacheStore())

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestInRealTime(CacheStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryCacheStore()
