"""The SQL stores, with the database's clock replaced by the `now` of the calls."""

from __future__ import annotations

from scalekit.ratelimit.sqlalchemy import AsyncSQLAlchemyRateLimitStore, SQLAlchemyRateLimitStore


class ToldTime(SQLAlchemyRateLimitStore):
    def hit(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        return super().hit(key, quota, cost, now)

    def peek(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        return super().peek(key, quota, cost, now)

    def refund(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        super().refund(key, quota, cost, now)


class AsyncToldTime(AsyncSQLAlchemyRateLimitStore):
    async def hit(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        return await super().hit(key, quota, cost, now)

    async def peek(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        return await super().peek(key, quota, cost, now)

    async def refund(self, key, quota, cost, now, /):
        self._operations.clock = lambda _: now
        await super().refund(key, quota, cost, now)


class OwnTime(SQLAlchemyRateLimitStore):
    """Goes by the database's clock, put forward by what has `passed`."""

    passed = 0

    def __init__(self, engine, **options):
        super().__init__(engine, **options)
        own = self._operations.clock
        self._operations.clock = lambda told: own(told) + self.passed


class AsyncOwnTime(AsyncSQLAlchemyRateLimitStore):
    passed = 0

    def __init__(self, engine, **options):
        super().__init__(engine, **options)
        own = self._operations.clock
        self._operations.clock = lambda told: own(told) + self.passed
