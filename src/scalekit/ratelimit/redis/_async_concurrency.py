"""The places that processes share on a Redis or Valkey server, for asyncio; twin of `_concurrency.py`."""

from __future__ import annotations

from random import uniform
from typing import TYPE_CHECKING, Any, ClassVar

from scalekit.ratelimit.redis._concurrency_call import operands, pause
from scalekit.ratelimit.redis._concurrency_script import script
from scalekit.redis._given import async_given_link
from scalekit.redis._script import async_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from scalekit.redis import AsyncRedisLink
    from scalekit.redis._script import Operands, Script


class AsyncRedisConcurrencyStore:
    """Keeps who holds a place on a Redis or Valkey server (6.2 or later), for all processes.

    `link` is an `AsyncRedisLink`, or a `redis.asyncio` client to make one from with its default options.
    Otherwise as `RedisConcurrencyStore`; the two may share keys.
    """

    __slots__ = ("_link",)

    _script: ClassVar[Script] = script()

    def __init__(self, link: AsyncRedisLink | AsyncRedis | AsyncRedisCluster) -> None:
        self._link = async_given_link(link, store="AsyncRedisConcurrencyStore")

    @property
    def link(self) -> AsyncRedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    async def acquire(
        self, key: str, holder: str, places: int, lease: int, _wake: Callable[[], object], /
    ) -> float:
        """Return 0.0 if `holder` has a place now; else it is in line, and should ask again after that."""
        rank, first_end = await self._run(operands("acquire", key, holder, places, lease))
        return pause(rank, first_end) * uniform(0.75, 1)  # noqa: S311  # so that not all ask at once

    async def renew(self, key: str, holder: str, lease: int, /) -> bool:
        """Put the end of the lease off; return False if `holder` has none any more."""
        renewed: bool = await self._run(operands("renew", key, holder, 0, lease)) == 1
        return renewed

    async def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line."""
        await self._run(operands("release", key, holder, 0, 0))

    async def _run(self, call: Operands) -> Any:
        return (await async_run(self._link, self._script, [call]))[0]
