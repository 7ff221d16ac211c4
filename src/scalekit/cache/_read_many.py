"""Reading many slots through the cache: one round trip, and one load for all that are missing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from scalekit.cache._capabilities import batching
from scalekit.cache._chance import chance
from scalekit.cache._entry import Blind, Entry, Snapshot
from scalekit.cache._freshness import entry_of
from scalekit.cache._loader import loaded
from scalekit.cache._many import AbsentItem, is_absent, items_of
from scalekit.cache._raised import Raised, unwrapped
from scalekit.errors import BackendError, ConfigurationError, SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache._flight import Ident
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._read_through import ReadThrough


class _Wanted(NamedTuple):
    """An item to load, the snapshot to store it with, and whether the store may have an older one."""

    id: Hashable
    slot: Slot
    snapshot: Snapshot
    old: bool


class ReadMany:
    """What `ReadThrough` does for one slot, for many."""

    def __init__(self, reads: ReadThrough) -> None:
        self._reads = reads
        self._batches = batching(reads.store)

    def get(
        self, slots: Mapping[Hashable, Slot], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> dict[Hashable, Any]:
        """Return the items of `slots`, in their order; what the loader does not find is absent."""
        landed = self._reads.flights.landed
        answers: dict[Hashable, Any] = {}
        stale: dict[Hashable, Slot] = {}
        missing: dict[Ident, _Wanted] = {}
        found = self._look(list(slots.values()))
        for (id_, slot), entry in zip(slots.items(), found, strict=True):
            drawn = chance() if policy.early_refresh else 1.0
            serve, reload = self._reads.judged(slot, entry, policy, drawn)
            if isinstance(entry, Entry):
                if serve:
                    answers[id_] = entry.value
                    if reload:
                        stale[id_] = slot
                    continue
                snapshot = self._reads.begin(slot, entry.snapshot, outdate=False)
            else:
                snapshot = entry
            ident = (slot.key, snapshot if policy.lock else Blind.made())
            missing[ident] = _Wanted(id_, slot, snapshot, isinstance(entry, Entry))
        if stale:
            work = partial(self._reload, stale, load, policy)
            self._reads.background.start(next(iter(stale.values())).key, work)
        if missing:
            answers |= self._fetch(missing, load, policy, landed=landed)
        return _present(answers, slots)

    def refresh(
        self, slots: Mapping[Hashable, Slot], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> dict[Hashable, Any]:
        """Load the items of `slots` now; loads that began before are outdated."""
        wanted = self._begun(slots, outdate=True)
        return _present(self._join(wanted, load, policy, landed=None), slots)

    def invalidate(self, keys: Sequence[str]) -> None:
        """Remove the entries of `keys`; loads that are running for them will not be stored."""
        if keys:
            self._reads.invalidations.deliver(keys, ())

    def _begun(self, slots: Mapping[Hashable, Slot], *, outdate: bool) -> dict[Ident, _Wanted]:
        wanted: dict[Ident, _Wanted] = {}
        for id_, slot in slots.items():
            snapshot = self._reads.begin(slot, None, outdate=outdate)
            wanted[slot.key, snapshot] = _Wanted(id_, slot, snapshot, old=True)
        return wanted

    def _look(self, slots: Sequence[Slot]) -> list[Entry | Snapshot]:
        if self._batches is None or self._reads.invalidations or not slots:
            return [self._reads.look(slot) for slot in slots]
        try:
            return self._batches.read_many(slots, self._reads.clock())
        except BackendError as error:
            self._reads.excuse("read_many", error, slots[0])
            return [self._reads.invalidations.blind] * len(slots)

    def _fetch(
        self,
        missing: Mapping[Ident, _Wanted],
        load: Callable[[Sequence[Hashable]], Any],
        policy: CachePolicy,
        *,
        landed: int,
    ) -> dict[Hashable, Any]:
        """Return what flights bring for what is missing, or the reserve for it where they fail."""
        try:
            return self._join(missing, load, policy, landed=landed)
        except (ConfigurationError, SerialisationError):
            raise
        except Exception as error:
            if not policy.stale_if_error:
                raise
            found = {item.id: self._reads.reserve(item.slot, policy) for item in missing.values()}
            if None in found.values():  # a part would pass for the whole
                raise
            reserve = cast("dict[Hashable, Entry]", found)
            for item in missing.values():
                self._reads.reserved(item.slot, reserve[item.id], error)
            return {id_: entry.value for id_, entry in reserve.items()}

    def _join(
        self,
        wanted: Mapping[Ident, _Wanted],
        load: Callable[[Sequence[Hashable]], Any],
        policy: CachePolicy,
        *,
        landed: int | None,
    ) -> dict[Hashable, Any]:
        """Return what the flights of `wanted` bring; those that are not under way are one load."""
        missed = landed is not None and landed != self._reads.flights.landed

        def fill(idents: Sequence[Ident]) -> dict[Ident, Any]:
            found: dict[Ident, Any] = {}
            if missed:  # what has landed since we looked may be in the store by now
                entries = self._look([wanted[ident].slot for ident in idents])
                for ident, entry in zip(idents, entries, strict=True):
                    if isinstance(entry, Entry) and self._reads.serves(entry, policy):
                        found[ident] = entry.value
            left = {ident: wanted[ident] for ident in idents if ident not in found}
            return found | (self._load(left, load, policy) if left else {})

        timeout = cast("float | None", policy.load_timeout)
        brought = self._reads.flights.join_many(list(wanted), fill, timeout=timeout)
        return {wanted[ident].id: value for ident, value in brought.items()}

    def _load(
        self, wanted: Mapping[Ident, _Wanted], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> dict[Ident, Any]:
        """Run the loader once for all of `wanted`, and store what it brings."""
        reads, ids = self._reads, [item.id for item in wanted.values()]
        first = next(iter(wanted.values())).slot
        started = reads.clock()
        reads.watch.counts.loads += 1
        try:
            items = items_of(loaded(partial(load, ids)), ids)
        except Exception as error:
            reads.watch.load(first, "error", reads.clock() - started, error)
            raise
        now = reads.clock()
        if policy.none_ttl is not None:
            items |= {id_: Raised(AbsentItem()) for id_ in ids if id_ not in items}
        gone = Entry(None, expires=now)  # takes away what the store has for an id that is no more
        entries = {
            id_: _entry_of(item, policy, now=now, seconds=now - started) for id_, item in items.items()
        }
        writes = [
            (item.slot, entries.get(item.id, gone), item.snapshot)
            for item in wanted.values()
            if (item.id in entries or item.old) and not isinstance(item.snapshot, Blind)
        ]
        try:
            stored = self._write(writes, now)
        except Exception as error:  # a value cannot be written as it is, or the store is asked to raise
            reads.watch.load(first, "error", now - started, error)
            raise
        reads.watch.load(first, "ok" if stored else "outdated", now - started)
        return {ident: items[item.id] for ident, item in wanted.items() if item.id in items}

    def _write(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float) -> bool:
        """Store what is still true; return whether all of it is."""
        try:
            if self._batches is not None and writes:
                return all(self._batches.write_many(writes, now))
            stored = [self._reads.store.write(*write, now) for write in writes]
            return all(stored)
        except BackendError as error:
            self._reads.excuse("write_many", error, writes[0][0])
            return False

    def _reload(
        self, slots: Mapping[Hashable, Slot], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> None:
        """Load behind the callers' backs."""
        try:
            begun = self._begun(slots, outdate=False)
            wanted = {ident: item for ident, item in begun.items() if not isinstance(item.snapshot, Blind)}
            self._join(wanted, load, policy, landed=None)
        except Exception as error:
            for slot in slots.values():
                self._reads.hold_off(slot)
            self._reads.unseen.tell(next(iter(slots.values())).key, error, self._reads.clock())
            raise


def _entry_of(item: object, policy: CachePolicy, *, now: float, seconds: float) -> Entry:
    known = None if is_absent(item) else item  # an absence lives as long as a None
    entry = entry_of(known, policy, now=now, load_seconds=seconds, chance=chance() if policy.jitter else 0.0)
    entry.value = item
    return entry


def _present(items: Mapping[Hashable, Any], order: Mapping[Hashable, Slot]) -> dict[Hashable, Any]:
    return {id_: unwrapped(items[id_]) for id_ in order if id_ in items and not is_absent(items[id_])}
