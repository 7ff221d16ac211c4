"""What a cache store must do: the contracts that `CacheStoreSuite` proves.

Every method of a store takes complete names (see `Slot`) and the face's clock reading `now`:
seconds from an arbitrary origin, never going back. `Entry.expires` is on that clock. A store whose
entries outlive the process keeps the time that is left (`entry.expires - now`), and gives back
`now` plus what is left by its own clock.

**Invalidation.** A store keeps one unique token per tag that entries carry, and one per key that is
being loaded. An entry is stored with the tokens of its tags and is alive only while they are
unchanged, so an invalidation is one operation per tag however many entries carry it. A load takes
its tokens (a `Snapshot`) *before* it starts, and `write` refuses a value whose snapshot has changed
since: that is what keeps a value read before an invalidation from being served after it. A token
that is lost, by eviction or by a restart, counts as changed: it costs a load, never a stale value.

**Errors.** A store raises `BackendError` when its server fails, and never disguises that as an
ordinary answer. An invalidation that returns has taken effect everywhere.

**Concurrency.** Every method may be called from many threads, processes or tasks at once. Only the
order "tokens before load" and the check in `write` matter: `read` need not be atomic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache._entry import Entry, IndexedEntry, Slot, Snapshot

__all__ = [
    "AsyncBatchCacheStore",
    "AsyncCacheStore",
    "AsyncLeasingCacheStore",
    "BatchCacheStore",
    "CacheStore",
    "IndexedCacheStore",
    "LeasingCacheStore",
    "NonblockingCacheStore",
    "Serializer",
]


@runtime_checkable
class Serializer(Protocol):
    """Turns values into bytes and back, for stores that keep bytes. Safe to share between threads."""

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the format and the type of the values; other bytes, other format.

        Of another length it is refused with a `ConfigurationError`.
        """
        ...

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as bytes; raise if it would not come back equal in value and type.

        `SerialisationError`, or whatever the format's own library raises (`TypeError`, `ValueError`, ...):
        a store makes a `SerialisationError` of each `Exception` that is no `ScalekitError`.
        """
        ...

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` wrote; `ValueError` for bytes that it did not write."""
        ...


@runtime_checkable
class CacheStore(Protocol):
    """A store whose methods return when the work is done; they may block."""

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start.

        An entry lives until `now >= entry.expires`, fresh or stale, and is judged by the tags it was
        written with; that `slot` names the same ones lets one round trip fetch the entry and all tokens.
        """
        ...

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: FBT001  # the protocol is positional
        """Return a snapshot for a load, whatever entry there is. The entry stays readable.

        With `outdate` the load outdates those begun before it for the same key: only `write` with an
        older snapshot is refused from now on. It is how a forced reload wins over one that is still
        running. Without, it is one of them, as after a miss.
        """
        ...

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored.

        The check and the store are one atomic step with respect to `begin`, `delete`, `invalidate`
        and other writes of that key or those tags. A None for `snapshot` says that the value is
        true as of this call: no change keeps it out, and it outdates the loads that are running. An
        entry that has expired already (`expires <= now`) only takes the old one away, and counts as
        stored. One for which the store has no room takes the old one away, too, and does not.
        """
        ...

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        ...

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would.

        One operation per tag, whatever the number of entries.
        """
        ...


@runtime_checkable
class NonblockingCacheStore(CacheStore, Protocol):
    """A `CacheStore` in this process's memory: no call of it ever waits, so an event loop may make it."""

    @property
    def nonblocking(self) -> Literal[True]:
        """Always True; that it is there is the promise."""
        ...


@runtime_checkable
class IndexedCacheStore(Protocol):
    """Optional: a store, sync or async, whose entries compiled wrappers may find without calling it.

    A wrapper keeps a dict from call arguments to entries. Such a store files its entries there,
    removes them before they leave it, and replaces `epoch` whenever an invalidation may have
    ended an entry. So one comparison tells a wrapper that its entry is still alive.
    """

    @property
    def epoch(self) -> object:
        """A unique object, replaced by every invalidation that may concern an entry."""
        ...

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float, /
    ) -> None:
        """Keep `index[place]` equal to the entry of `key` for as long as that is in the store.

        `kinds` goes into the entry; its `due` becomes the end of its freshness, less `lead` times what its
        load took; `math.inf` is for at once. Nothing happens if `key` has no entry; a second pin replaces
        the first.
        """
        ...

    def renew(self, entry: IndexedEntry, now: float, /) -> bool:
        """Say whether `entry`, found in an index, is alive and not due; if so, bring it up to `epoch`."""
        ...


@runtime_checkable
class BatchCacheStore(CacheStore, Protocol):
    """Optional: a store that reads, begins, or writes many entries in about the time of one."""

    def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would, in their order."""
        ...

    def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: FBT001  # as above
        """Return for each of `slots` what `begin` would, in their order."""
        ...

    def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would; each is atomic by itself, not all together."""
        ...


@runtime_checkable
class LeasingCacheStore(CacheStore, Protocol):
    """Optional: a store that elects, among all processes that use it, one to load a key.

    A lease only saves work: values are kept right by snapshots, whoever loads.
    """

    def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        ...

    def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back, if `owner` still has it, and wake those who wait for it."""
        ...

    def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back, after `seconds` at the latest; possibly earlier."""
        ...


@runtime_checkable
class AsyncCacheStore(Protocol):
    """The same contract as `CacheStore`, for stores that wait on an event loop."""

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or a snapshot; see `CacheStore.read`."""
        ...

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: FBT001  # as above
        """Return a snapshot for a load; see `CacheStore.begin`."""
        ...

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` unless outdated; see `CacheStore.write`."""
        ...

    async def delete(self, keys: Sequence[str], /) -> None:
        """Remove entries and outdate running loads; see `CacheStore.delete`."""
        ...

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """End every entry that carries one of `tags`; see `CacheStore.invalidate`."""
        ...


@runtime_checkable
class AsyncBatchCacheStore(AsyncCacheStore, Protocol):
    """`BatchCacheStore`, for stores that wait on an event loop."""

    async def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would; see `BatchCacheStore.read_many`."""
        ...

    async def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: FBT001  # as above
        """Return for each of `slots` what `begin` would; see `BatchCacheStore.begin_many`."""
        ...

    async def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would; see `BatchCacheStore.write_many`."""
        ...


@runtime_checkable
class AsyncLeasingCacheStore(AsyncCacheStore, Protocol):
    """`LeasingCacheStore`, for stores that wait on an event loop."""

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take or renew the lease of `key`; see `LeasingCacheStore.acquire`."""
        ...

    async def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back; see `LeasingCacheStore.release`."""
        ...

    async def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease is given back; see `LeasingCacheStore.wait`."""
        ...
