"""A store for tests."""

from __future__ import annotations

import asyncio

from scalekit.ratelimit import MemoryRateLimitStore


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
