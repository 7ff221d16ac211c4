"""The tiered store for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit._time import seconds
from scalekit.cache._entry import Entry
from scalekit.cache.tiered._far import far_store
from scalekit.cache.tiered._near import Near, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Duration
    from scalekit.cache._entry import IndexedEntry, Slot, Snapshot
    from scalekit.cache.tiered._far import FarStore
    from scalekit.cache.tiered._near import Copying, NearStore


class TieredCacheStore:
    """A store in this process, `near`, in front of `far`, a `RedisCacheStore`, and coherent with it.

    `near` keeps copies of what was read from `far`, as the objects they are: a `MemoryCacheStore`, or another
    `IndexedCacheStore` that never blocks. Several tiers, on whichever servers, may share one, and its bound:
    each finds its own copies alone. The server tells this process what others change, within a
    millisecond as a rule; what this process changes itself it never sees stale, in whichever thread. When the
    connection over which the server tells is lost, copies are used no more at once; when it is silent, no
    longer than `max_staleness` (more than 0, default one second) after it last gave proof of life. So a call
    that begins `max_staleness` after an invalidation elsewhere has returned is never served what that ended.
    Without such a connection, as before the first has been made, each call goes to `far`.

    The first read starts a thread that listens, one for each link. Slots with `l1=False` are read from `far`
    alone. Errors: those of `far`; none of the listener. `ConfigurationError` for other stores.
    """

    def __init__(self, near: NearStore, far: FarStore, *, max_staleness: Duration = "1s") -> None:
        self._near = Near(near, seconds(max_staleness, "max_staleness"))
        self._store = near
        self._far = far_store(far)

    @property
    def coherent(self) -> bool:
        """Whether the near tier may answer at present."""
        return self._near.coherent

    @property
    def listening_error(self) -> Exception | None:
        """Why it is not `coherent`: what ended the latest connection, or attempt at one.

        None while it is, and where nothing has gone wrong yet. That the server refuses is also logged, once,
        by the logger "scalekit".
        """
        return None if self._near.coherent else self._far.link.listener.error

    @property
    def epoch(self) -> object:
        """See `IndexedCacheStore.epoch`."""
        return self._store.epoch

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        copy = self._look(slot, now)
        if isinstance(copy, Entry):
            return copy
        found = self._far.read(slot, now)
        if copy is not None:
            copy.keep(found, now)
        return found

    def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would; the near tier's misses in one round trip."""
        copies = [self._look(slot, now) for slot in slots]
        wanted = [slot for slot, copy in zip(slots, copies, strict=True) if not isinstance(copy, Entry)]
        found = self._far.read_many(wanted, now) if wanted else []
        return merged(copies, found, now)

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        return self._far.begin(slot, now, outdate)

    def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: FBT001  # as above
        """Return for each of `slots` what `begin` would, in one round trip."""
        return self._far.begin_many(slots, now, outdate)

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` in the far tier, unless outdated; the near tier gets it when it is read."""
        self._near.drop([slot.key])
        try:
            return self._far.write(slot, entry, snapshot, now)
        finally:
            self._near.drop([slot.key])

    def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would."""
        keys = [slot.key for slot, _, _ in writes]
        self._near.drop(keys)
        try:
            return self._far.write_many(writes, now)
        finally:
            self._near.drop(keys)

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys` from both tiers, and outdate the loads that are running for them."""
        self._near.drop(keys)
        try:
            self._far.delete(keys)
        finally:
            self._near.drop(keys)

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        self._near.drop_tagged(tags)
        try:
            self._far.invalidate(tags)
        finally:
            self._near.drop_tagged(tags)

    def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """See `LeasingCacheStore.acquire`."""
        return self._far.acquire(key, owner, seconds)

    def release(self, key: str, owner: bytes, /) -> None:
        """See `LeasingCacheStore.release`."""
        self._far.release(key, owner)

    def wait(self, key: str, seconds: float, /) -> None:
        """See `LeasingCacheStore.wait`."""
        self._far.wait(key, seconds)

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
