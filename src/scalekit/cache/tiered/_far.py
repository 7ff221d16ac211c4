"""What can be a far tier: a store on a link, which is listened at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from scalekit.cache.protocols import (
    AsyncBatchCacheStore,
    AsyncLeasingCacheStore,
    BatchCacheStore,
    LeasingCacheStore,
)
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from scalekit.redis import AsyncRedisLink, RedisLink


class FarStore(LeasingCacheStore, BatchCacheStore, Protocol):
    """A store whose entries lie on a server as `_frame` says, such as `RedisCacheStore`."""

    @property
    def link(self) -> RedisLink: ...


class AsyncFarStore(AsyncLeasingCacheStore, AsyncBatchCacheStore, Protocol):
    """The same for asyncio, such as `AsyncRedisCacheStore`."""

    @property
    def link(self) -> AsyncRedisLink: ...


def far_store(given: Any) -> FarStore:
    """Return `given`, or raise `ConfigurationError` if it is not on a blocking link."""
    from scalekit.redis import RedisLink  # noqa: PLC0415  # half of the block's import time, for those who tier

    if isinstance(given, type) or not isinstance(getattr(given, "link", None), RedisLink):
        raise ConfigurationError(
            "far", given, "as a RedisCacheStore (AsyncTieredCacheStore takes an AsyncRedisCacheStore)"
        )
    store: FarStore = given
    return store


def async_far_store(given: Any) -> AsyncFarStore:
    """Return `given`, or raise `ConfigurationError` if it is not on an asyncio link."""
    from scalekit.redis import AsyncRedisLink  # noqa: PLC0415  # brings asyncio, which threads can spare

    if isinstance(given, type) or not isinstance(getattr(given, "link", None), AsyncRedisLink):
        raise ConfigurationError(
            "far", given, "as an AsyncRedisCacheStore (TieredCacheStore takes a RedisCacheStore)"
        )
    store: AsyncFarStore = given
    return store
