"""The async face of the rate limits on a Redis or Valkey server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scalekit.ratelimit.redis._call import operands, script_of, stored_key, verdict_of
from scalekit.ratelimit.redis._prelude import CLOCK
from scalekit.redis._given import async_given_link
from scalekit.redis._script import async_run

if TYPE_CHECKING:
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.redis import AsyncRedisLink


class AsyncRedisRateLimitStore:
    """Keeps what each key consumed on a Redis or Valkey server (6.2 or later), for all processes.

    `link` is an `AsyncRedisLink`, or a `redis.asyncio` client to make one from with its
    default options (a deadline of 50 ms). Raises `ConfigurationError` for anything else.

    The hits of one tick of the event loop travel together, each a script of its own. Otherwise, and in
    all it guarantees, as `RedisRateLimitStore`; the two may share keys. A call that is cancelled may or
    may not have consumed its cost.
    """

    __slots__ = ("_link",)

    _clock: ClassVar[str] = CLOCK

    def __init__(self, link: AsyncRedisLink | AsyncRedis | AsyncRedisCluster) -> None:
        self._link = async_given_link(link, store="AsyncRedisRateLimitStore")

    @property
    def link(self) -> AsyncRedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    async def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        return verdict_of(await self._run("hit", key, quota, cost), quota)

    async def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        return verdict_of(await self._run("peek", key, quota, cost), quota)

    async def refund(self, key: str, quota: Quota, cost: int, _now: int, /) -> None:
        """Take back the newest `cost` units of `key`."""
        await self._run("refund", key, quota, cost)

    async def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        await self._link.execute("DEL", stored_key(key))

    async def _run(self, operation: str, key: str, quota: Quota, cost: int) -> Any:
        call = operands(operation, key, quota, cost)
        script = script_of(quota.algorithm, len(quota.spans), self._clock)
        return (await async_run(self._link, script, [call]))[0]
