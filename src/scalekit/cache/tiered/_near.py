"""The near tier: copies of entries that the far store has, for as long as it is known that they are true.

Copies are kept under the names that entries and tags have on the server, since these are what it announces,
and behind a mark of the tier's own: another one on the same store may be on another server, or hear of less.

1. A copy is made of what the far store *answered*, and only with a snapshot that the near store gave before
   the far store was asked. An announcement that comes between answer and copy kills that snapshot, so the
   copy is refused. One that comes later removes the copy. One that came earlier was about an older value.
2. A call of this process that changes something drops the copies before and after. What was asked of the far
   store before the second drop cannot be kept after it, so once the call has returned no thread of this
   process is served what it ended, whether the announcement is here or not.
3. A session is a time in which every announcement is heard. Each begins and ends by dropping all copies, so
   whatever is held has been read since the latest one began, and whichever session proves that nothing is
   missing up to an instant proves it of all copies. Nothing is served later than `max_staleness` after that
   instant: a change whose author has been answered since is announced, or the near tier is passed by.
4. A compiled wrapper serves an entry by itself until the entry's `due`, read off the face's clock. If that is
   `time.monotonic`, as by default, `due` is the instant of rule 3, which holds however late a thread runs.
   Of another clock nobody knows how fast it goes: then `due` is already past, and each hit asks `renew`,
   which goes by `time.monotonic`.
"""

from __future__ import annotations

import math
import threading
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, cast

from scalekit.cache._entry import Entry, NamedEntry, Slot
from scalekit.cache._frame import entry_name, tag_name, tracked_prefixes
from scalekit.cache.protocols import IndexedCacheStore, NonblockingCacheStore
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.cache._entry import IndexedEntry, Snapshot

_NEVER = -math.inf
_EVERYTHING = b"*"  # a tag that all copies carry; names on the server begin otherwise
_LONGEST_INTERVAL = 0.5
_SAME_CLOCK = 1.0
"""Seconds by which a reading of the face's clock may lie behind ours, for the two to be one clock."""


_numbers = count()


class NearStore(NonblockingCacheStore, IndexedCacheStore, Protocol):
    """What can be a near tier, such as `MemoryCacheStore`."""


class _Kinds(tuple[type, ...]):  # noqa: SLOT001  # a tuple's subclass can have no slots of its own
    """The classes of a call's arguments, and how many load times ahead the face wants to be asked.

    An indexed entry has no place for that but its `due`, and that is the near tier's.
    """

    lead: float


class Copying:
    """What a call that missed the near tier may keep of the far store's answer."""

    __slots__ = ("_place", "_snapshot", "_store")

    def __init__(self, store: NearStore, place: Slot, snapshot: Snapshot) -> None:
        self._store = store
        self._place = place
        self._snapshot = snapshot

    def keep(self, found: Entry | Snapshot, now: float) -> None:
        """Keep a copy of `found` if it is a fresh entry of which all that can end it will be heard."""
        if isinstance(found, NamedEntry) and found.fresh_until > now:
            copy = NamedEntry(
                found.value,
                expires=found.expires,
                fresh_until=found.fresh_until,
                load_seconds=found.load_seconds,
            )
            self._store.write(self._place, copy, self._snapshot, now)


def merged(
    copies: Sequence[Entry | Copying | None], found: Iterable[Entry | Snapshot], now: float
) -> list[Entry | Snapshot]:
    """Return `copies`, and in place of those that are none what was `found`, after keeping copies of that."""
    answers = iter(found)
    everything: list[Entry | Snapshot] = []
    for copy in copies:
        answer = copy if isinstance(copy, Entry) else next(answers)
        if isinstance(copy, Copying):
            copy.keep(answer, now)
        everything.append(answer)
    return everything


class Near:
    """The copies, what is known of them, and what the listener tells (it is a `Watcher`)."""

    def __init__(self, store: object, max_staleness: float) -> None:
        if isinstance(store, type) or not (
            isinstance(store, NonblockingCacheStore) and isinstance(store, IndexedCacheStore)
        ):
            raise ConfigurationError("near", store, "as a store in this process, such as MemoryCacheStore")
        self.store: NearStore = store  # pyright: ignore[reportAttributeAccessIssue]  # as was checked
        self.prefixes = tracked_prefixes()
        self.interval = min(max_staleness / 4, _LONGEST_INTERVAL)
        self._max_staleness = max_staleness
        # The names of a cache on the same store begin with a namespace, and none of those with a colon.
        self._mark = f":{next(_numbers)}:"
        self._everything = [self._name(_EVERYTHING)]
        self._proofs: dict[object, float] = {}
        self._proving = threading.Lock()  # sessions of two event loops may run in two threads
        self._ends = _NEVER
        self._tag_prefix = tag_name("").rstrip(b":")

    # -- for the stores -------------------------------------------------------------------------

    @property
    def coherent(self) -> bool:
        """Whether copies may be served at present."""
        return self._ends > monotonic()

    def look(self, slot: Slot, now: float) -> Entry | Copying | None:
        """Return the copy of `slot`, or what may keep one; None where copies are of no use."""
        if self._ends <= monotonic():
            return None
        name = self._name(entry_name(slot.key))
        found = self.store.read(Slot(name, (), slot.serializer), now)
        if isinstance(found, Entry):
            # Stale, it is for the far store to say if there is a newer one, and what a reload starts from.
            return found if found.fresh_until > now else None
        place = Slot(name, (*self._everything, *map(self._name, map(tag_name, slot.tags))), slot.serializer)
        return Copying(self.store, place, self.store.begin(place, now, False))

    def drop(self, keys: Iterable[str]) -> None:
        """Drop the copies of `keys`."""
        self.store.delete([self._name(entry_name(key)) for key in keys])

    def drop_tagged(self, tags: Iterable[str]) -> None:
        """Drop the copies that carry one of `tags`."""
        self.store.invalidate([self._name(tag_name(tag)) for tag in tags])

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float
    ) -> None:
        """See `IndexedCacheStore.pin`. It is due at once: `renew`, which sees the clock, says until when."""
        if lead:
            kinds = _Kinds(kinds)
            kinds.lead = lead
        self.store.pin(self._name(entry_name(key)), index, place, kinds, math.inf)

    def renew(self, entry: IndexedEntry, now: float) -> bool:
        """See `IndexedCacheStore.renew`; moves the entry's `due` on where there is newer proof."""
        ends, here = self._ends, monotonic()
        copy = cast("NamedEntry", entry)  # as it was given to the near store
        lead = getattr(entry.kinds, "lead", 0.0)
        if ends <= here or lead == math.inf:  # which no load time would make a number of, were it 0
            return False
        until = copy.fresh_until - lead * copy.load_seconds
        if until <= now:
            return False
        if 0.0 <= here - now < _SAME_CLOCK:
            # Were the entry from an earlier session, it would be dead by now, and its epoch not the store's.
            entry.due = min(until, ends)
            return self.store.renew(entry, now)
        entry.due = until
        alive = self.store.renew(entry, now)
        entry.due = now
        return alive

    # -- for the listener -----------------------------------------------------------------------

    def begun(self, session: object) -> None:  # noqa: ARG002  # as a Watcher has it
        """Drop all copies: whatever is held from now on was read in this session."""
        self.store.invalidate(self._everything)

    def changed(self, names: Sequence[bytes] | None) -> None:
        """Drop the copies that `names` end; None ends all."""
        if names is None:
            self.store.invalidate(self._everything)
            return
        tags = [self._name(name) for name in names if name.startswith(self._tag_prefix)]
        if tags:
            self.store.invalidate(tags)
        if len(tags) < len(names):
            self.store.delete([self._name(name) for name in names if not name.startswith(self._tag_prefix)])

    def proven(self, session: object, at: float) -> None:
        """Serve copies until `max_staleness` after the instant `at`."""
        with self._proving:
            self._proofs[session] = at
            self._ends = max(self._proofs.values()) + self._max_staleness

    def lost(self, session: object) -> None:
        """Serve copies no more, unless another session runs."""
        with self._proving:
            if self._proofs.pop(session, None) is None:
                return
            self._ends = max(self._proofs.values(), default=_NEVER) + self._max_staleness
        self.store.invalidate(self._everything)

    def forked(self) -> None:
        """Begin anew in the child of a fork: its parent's sessions prove nothing here."""
        self._proving = threading.Lock()
        self._proofs = {}
        self._ends = _NEVER

    def _name(self, name: bytes) -> str:
        return self._mark + name.decode("latin-1")
