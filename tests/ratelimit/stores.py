"""Stores for tests."""

from __future__ import annotations

import asyncio

from scalekit.errors import BackendError
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


def breakable(base):
    """Return a store class like `base` whose calls fail while `broken` is True, or an error to raise."""

    def failing(name):
        method = getattr(base, name)

        def call(self, *args):
            if isinstance(self.broken, Exception):
                raise self.broken
            if self.broken:
                raise BackendError(base.__name__, name, "injected fault")
            return method(self, *args)

        async def async_call(self, *args):
            return await call(self, *args)

        return async_call if asyncio.iscoroutinefunction(method) else call

    methods = {name: failing(name) for name in ("hit", "peek", "refund", "reset")}
    return type(f"Breakable{base.__name__}", (base,), {**methods, "broken": False})
