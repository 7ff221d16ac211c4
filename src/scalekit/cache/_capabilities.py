"""Which stores a face can use, and what else than a store they are."""

from __future__ import annotations

import inspect
from typing import Any

from scalekit.cache._awaitable import AwaitableStore
from scalekit.cache.protocols import (
    AsyncBatchCacheStore,
    AsyncCacheStore,
    BatchCacheStore,
    CacheStore,
    IndexedCacheStore,
    LeasingCacheStore,
    NonblockingCacheStore,
)
from scalekit.errors import ConfigurationError


def usable_store(store: Any) -> CacheStore:
    """Return `store` if `Cache` can use it; `TypeError` for an async one, naming `AsyncCache`."""
    if isinstance(store, type) or not isinstance(store, CacheStore):
        raise ConfigurationError("store", store, _with_methods_of("CacheStore", store))
    if inspect.iscoroutinefunction(store.read):
        msg = f"Cache cannot await {type(store).__name__}: use AsyncCache, or the store's sync twin"
        raise TypeError(msg)
    return store


def async_usable_store(store: Any) -> AsyncCacheStore:
    """Return what `AsyncCache` can await; `TypeError` for a store that would block the event loop."""
    if isinstance(store, type) or not isinstance(store, AsyncCacheStore):
        raise ConfigurationError("store", store, _with_methods_of("AsyncCacheStore", store))
    if inspect.iscoroutinefunction(store.read):
        return store
    sync: object = store
    if isinstance(sync, NonblockingCacheStore) and getattr(sync, "nonblocking", False) is True:
        return AwaitableStore(sync)
    msg = f"{type(store).__name__} would block the event loop: use its async twin, or Cache"
    raise TypeError(msg)


def _with_methods_of(protocol: str, given: object) -> str:
    expected = f"as an object with the methods of {protocol}"
    if isinstance(given, str) and "://" not in given:
        return f"{expected} (did you mean namespace={given!r}?)"
    if isinstance(given, str) or type(given).__module__.partition(".")[0] == "redis":
        face = protocol.removesuffix("CacheStore")
        return f"{expected}, such as {face}RedisCacheStore({face}RedisLink.from_url(...))"
    return expected


def index_of(store: Any) -> IndexedCacheStore | None:
    """Return `store` if compiled wrappers may find its entries without calling it."""
    return store if isinstance(store, IndexedCacheStore) else None


def leasing(store: Any) -> LeasingCacheStore | None:
    """Return `store` if it can elect one process to load a key."""
    return store if isinstance(store, LeasingCacheStore) else None


def batching(store: Any) -> BatchCacheStore | None:
    """Return `store` if it can read and write many entries at once."""
    return store if isinstance(store, BatchCacheStore) else None


def async_batching(store: Any) -> AsyncBatchCacheStore | None:
    """Return `store` if it can read and write many entries at once."""
    return store if isinstance(store, AsyncBatchCacheStore) else None
