"""The tiered store for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit._time import seconds
from scalekit.cache._entry import Entry
from scalekit.cache.tiered._far import async_far_store
from scalekit.cache.tiered._near import Near, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Duration
    from scalekit.cache._entry import IndexedEntry, Slot, Snapshot
    from scalekit.cache.tiered._far import AsyncFarStore
    from scalekit.cache.tiered._near import Copying, NearStore


class AsyncTieredCacheStore:
    """`TieredCacheStore` for asyncio: `far` is an `AsyncRedisCacheStore`.

    A task on the event loop listens; it starts with the first read, and ends with the loop. The store may be
    used from several event loops, in turn or at once.
    """

    def __init__(self, near: NearStore, far: AsyncFarStore, *, max_staleness: Duration = "1s") -> None:
        self._near = Near(near, seconds(max_staleness, "max_staleness"))
        self._store = near
        self._far = async_far_store(far)

    @property
    def coherent(self) -> bool:
        """Whether the near tier may answer at present."""
        return self._near.coherent

    @property
    def listening_error(self) -> Exception | None:
        """What `TieredCacheStore.listening_error` has, of the running event loop's connection."""
        return None if self._near.coherent else self._far.link.listener.error

    @property
    def epoch(self) -> object:
        """See `IndexedCacheStore.epoch`."""
        return self._store.epoch

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        copy = self._look(slot, now)
        if isinstance(copy, Entry):
            return copy
        found = await self._far.read(slot, now)
        if copy is not None:
            copy.keep(found, now)
        return found

    async def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would; the near tier's misses in one round trip."""
        copies = [self._look(slot, now) for slot in slots]
        wanted = [slot for slot, copy in zip(slots, copies, strict=True) if not isinstance(copy, Entry)]
        found = await self._far.read_many(wanted, now) if wanted else []
        return merged(copies, found, now)

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        return await self._far.begin(slot, now, outdate)

    async def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: FBT001  # as above
        """Return for each of `slots` what `begin` would; see `BatchCacheStore.begin_many`."""
        return await self._far.begin_many(slots, now, outdate)

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` in the far tier, unless outdated; the near tier gets it when it is read."""
        self._near.drop([slot.key])
        try:
            return await self._far.write(slot, entry, snapshot, now)
        finally:
            self._near.drop([slot.key])

    async def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would."""
        keys = [slot.key for slot, _, _ in writes]
        self._near.drop(keys)
        try:
            return await self._far.write_many(writes, now)
        finally:
            self._near.drop(keys)

    async def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys` from both tiers, and outdate the loads that are running for them."""
        self._near.drop(keys)
        try:
            await self._far.delete(keys)
        finally:
            self._near.drop(keys)

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        self._near.drop_tagged(tags)
        try:
            await self._far.invalidate(tags)
        finally:
            self._near.drop_tagged(tags)

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """See `LeasingCacheStore.acquire`."""
        return await self._far.acquire(key, owner, seconds)

    async def release(self, key: str, owner: bytes, /) -> None:
        """See `LeasingCacheStore.release`."""
        await self._far.release(key, owner)

    async def wait(self, key: str, seconds: float, /) -> None:
        """See `LeasingCacheStore.wait`."""
        await self._far.wait(key, seconds)

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float, /
    ) -> None:
        """See `IndexedCacheStore.pin`."""
        self._near.pin(key, index, place, kinds, lead)

    def renew(self, entry: IndexedEntry, now: float, /) -> bool:
        """See `IndexedCacheStore.renew`."""
        return self._near.renew(entry, now)

    def _look(self, slot: Slot, now: float) -> Entry | Copying | None:
        if not slot.l1:
            return None
        self._far.link.listener.watch(self._near)
        return self._near.look(slot, now)
