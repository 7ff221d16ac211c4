"""The Redis stores, with the server's clock replaced by the `now` of the calls."""

from __future__ import annotations

from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.ratelimit.redis._call import operands, script_of
from scalekit.redis._script import async_run, run

TOLD = "\nlocal now, MARGIN = tonumber(table.remove(ARGV)), 10\n"
# For windows that are over while the test goes on: the server expires by its own clock, not by the told one.
UNHURRIED = TOLD.replace("10", "3600000")


class ToldTime(RedisRateLimitStore):
    _clock = TOLD
    now = 0

    def hit(self, key, quota, cost, now, /):
        self.now = now
        return super().hit(key, quota, cost, now)

    def peek(self, key, quota, cost, now, /):
        self.now = now
        return super().peek(key, quota, cost, now)

    def refund(self, key, quota, cost, now, /):
        self.now = now
        super().refund(key, quota, cost, now)

    def _run(self, operation, key, quota, cost):
        call = (*operands(operation, key, quota, cost), self.now)
        script = script_of(quota.algorithm, len(quota.spans), self._clock)
        return run(self._link, script, [call])[0]


class Unhurried(ToldTime):
    _clock = UNHURRIED


class AsyncToldTime(AsyncRedisRateLimitStore):
    _clock = TOLD
    now = 0

    async def hit(self, key, quota, cost, now, /):
        self.now = now
        return await super().hit(key, quota, cost, now)

    async def peek(self, key, quota, cost, now, /):
        self.now = now
        return await super().peek(key, quota, cost, now)

    async def refund(self, key, quota, cost, now, /):
        self.now = now
        await super().refund(key, quota, cost, now)

    async def _run(self, operation, key, quota, cost):
        call = (*operands(operation, key, quota, cost), self.now)
        script = script_of(quota.algorithm, len(quota.spans), self._clock)
        return (await async_run(self._link, script, [call]))[0]
