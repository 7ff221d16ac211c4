"""Which stores a face accepts, and what a loader may return."""

from __future__ import annotations

import inspect
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from scalekit.cache.protocols import (
    AsyncBatchCacheStore,
    AsyncCacheStore,
    AsyncLeasingCacheStore,
    BatchCacheStore,
    CacheStore,
    IndexedCacheStore,
    LeasingCacheStore,
    NonblockingCacheStore,
)
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.cache._entry import Entry, Slot, Snapshot


OnError: TypeAlias = Literal["load", "raise"]
OnErrorInvalidate: TypeAlias = Literal["raise", "queue"]


class Failure(NamedTuple):
    """What a face does when its store fails: whether a read raises, and whether an invalidation is queued."""

    raises: bool
    queues: bool


def failure(on_error: OnError, on_error_invalidate: OnErrorInvalidate) -> Failure:
    """Return what the two options of a face say."""
    if on_error not in {"load", "raise"}:
        raise ConfigurationError("on_error", on_error, '"load" or "raise"')
    if on_error_invalidate not in {"raise", "queue"}:
        raise ConfigurationError("on_error_invalidate", on_error_invalidate, '"raise" or "queue"')
    return Failure(on_error == "raise", on_error_invalidate == "queue")


class AwaitableStore:
    """A never-blocking store seen as an async one. Nothing in it suspends, so nothing can come between."""

    __slots__ = ("_store",)

    def __init__(self, store: NonblockingCacheStore) -> None:
        self._store = store

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """See `CacheStore.read`."""
        return self._store.read(slot, now)

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: FBT001  # as the protocol has it
        """See `CacheStore.begin`."""
        return self._store.begin(slot, now, outdate)

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """See `CacheStore.write`."""
        return self._store.write(slot, entry, snapshot, now)

    async def delete(self, keys: Sequence[str], /) -> None:
        """See `CacheStore.delete`."""
        self._store.delete(keys)

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """See `CacheStore.invalidate`."""
        self._store.invalidate(tags)


def usable_store(store: Any) -> CacheStore:
    """Return `store` if `Cache` can use it; `TypeError` for an async one, naming `AsyncCache`."""
    if isinstance(store, type) or not isinstance(store, CacheStore):
        raise ConfigurationError("store", store, "as an object with the methods of CacheStore")
    if inspect.iscoroutinefunction(store.read):
        msg = f"Cache cannot await {type(store).__name__}: use AsyncCache, or the store's sync twin"
        raise TypeError(msg)
    return store


def async_usable_store(store: Any) -> AsyncCacheStore:
    """Return what `AsyncCache` can await; `TypeError` for a store that would block the event loop."""
    if isinstance(store, type) or not isinstance(store, AsyncCacheStore):
        raise ConfigurationError("store", store, "as an object with the methods of AsyncCacheStore")
    if inspect.iscoroutinefunction(store.read):
        return store
    sync: object = store
    if isinstance(sync, NonblockingCacheStore) and getattr(sync, "nonblocking", False) is True:
        return AwaitableStore(sync)
    msg = f"{type(store).__name__} would block the event loop: use its async twin, or Cache"
    raise TypeError(msg)


def index_of(store: Any) -> IndexedCacheStore | None:
    """Return `store` if compiled wrappers may find its entries without calling it."""
    return store if isinstance(store, IndexedCacheStore) else None


def leasing(store: Any) -> LeasingCacheStore | None:
    """Return `store` if it can elect one process to load a key."""
    return store if isinstance(store, LeasingCacheStore) else None


def async_leasing(store: Any) -> AsyncLeasingCacheStore | None:
    """Return `store` if it can elect one process to load a key."""
    return store if isinstance(store, AsyncLeasingCacheStore) else None


def batching(store: Any) -> BatchCacheStore | None:
    """Return `store` if it can read and write many entries at once."""
    return store if isinstance(store, BatchCacheStore) else None


def async_batching(store: Any) -> AsyncBatchCacheStore | None:
    """Return `store` if it can read and write many entries at once."""
    return store if isinstance(store, AsyncBatchCacheStore) else None


def loaded(load: Callable[[], Any]) -> Any:
    """Return what `load` returns; `TypeError` for what could be awaited, or read, only once."""
    value = load()
    if inspect.iscoroutine(value):
        value.close()
        msg = "the loader returned a coroutine: use AsyncCache"
        raise TypeError(msg)
    return _readable(value)


async def async_loaded(load: Callable[[], Any]) -> Any:
    """Return what awaiting `load()` returns; `TypeError` if it cannot be awaited."""
    pending = load()
    if not inspect.isawaitable(pending):
        msg = f"the loader returned {type(pending).__name__}, not an awaitable: use an async loader, or Cache"
        raise TypeError(msg)
    return _readable(await pending)


def _readable(value: Any) -> Any:
    if isinstance(value, (GeneratorType, AsyncGeneratorType)):
        msg = f"the loader returned {value.__qualname__}(), which can be read only once: return a list"
        raise TypeError(msg)
    return value
