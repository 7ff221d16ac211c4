"""A store in this process, for a face that awaits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache._entry import Entry, Slot, Snapshot
    from scalekit.cache.protocols import NonblockingCacheStore


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
