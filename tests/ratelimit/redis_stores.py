"""The Redis stores, with the server's clock replaced by the `now` of the calls."""

from __future__ import annotations

from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.ratelimit.redis._log_script import source
from scalekit.redis._script import Script

TOLD = Script(source(now="\nlocal now = tonumber(table.remove(ARGV))\n"))


class ToldTime(RedisRateLimitStore):
    _script = TOLD
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

    def _run(self, command):
        return super()._run((*command, self.now))


class AsyncToldTime(AsyncRedisRateLimitStore):
    _script = TOLD
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

    async def _run(self, command):
        return await super()._run((*command, self.now))
