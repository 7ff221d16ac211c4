"""The memory store, and a store that awaits, against the suite that third parties run."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.ratelimit import MemoryRateLimitStore
from scalekit.testing import RateLimitStoreSuite


class TestMemoryRateLimitStore(RateLimitStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryRateLimitStore(max_keys=10_000)


class AwaitedMemoryStore:
    """The smallest async store: each call gives way to others before it is done in one step."""

    def __init__(self):
        self._store = MemoryRateLimitStore()

    async def hit(self, key, quota, cost, now, /):
        await asyncio.sleep(0)
        return self._store.hit(key, quota, cost, now)

    async def peek(self, key, quota, cost, now, /):
        await asyncio.sleep(0)
        return self._store.peek(key, quota, cost, now)

    async def refund(self, key, quota, cost, now, /):
        await asyncio.sleep(0)
        self._store.refund(key, quota, cost, now)

    async def reset(self, key, /):
        await asyncio.sleep(0)
        self._store.reset(key)


class TestAsyncStore(RateLimitStoreSuite):
    @pytest.fixture
    def store(self):
        return AwaitedMemoryStore()
