"""Reading many slots through the cache: one round trip, and one load for all that are missing."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._capabilities import batching
from scalekit.cache._chance import chance
from scalekit.cache._entry import Entry
from scalekit.cache._loader import loaded
from scalekit.cache._many import items_of
from scalekit.cache._wanted import begun, by_flight, present, wanted_of, with_absent, writes_of
from scalekit.errors import BackendError, ConfigurationError, SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from scalekit.cache._entry import Slot, Snapshot
    from scalekit.cache._flight import Ident
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._read_through import ReadThrough
    from scalekit.cache._wanted import Wanted


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
        stale: list[Wanted] = []
        missing: list[Wanted] = []
        entries = self._look(list(slots.values()))
        # Most are fresh: they are not judged one by one, which takes as long as to read them.
        fresh_from = inf if policy.early_refresh else self._reads.clock()
        for (id_, slot), found in zip(slots.items(), entries, strict=True):
            if isinstance(found, Entry) and found.fresh_until > fresh_from:
                self._reads.watch.hit(slot)
                answers[id_] = found.value
                continue
            drawn = chance() if policy.early_refresh else 1.0
            serve, reload = self._reads.judged(slot, found, policy, drawn)
            if isinstance(found, Entry) and serve:
                answers[id_] = found.value
                if reload:
                    stale.append(wanted_of(id_, slot, found))
            else:
                missing.append(wanted_of(id_, slot, found))
        if stale:
            work = partial(self._reload, stale, load, policy)
            self._reads.background.start(stale[0].slot.key, work)
        if missing:
            missing = self._begun(missing, outdate=False)
            answers |= self._fetch(missing, load, policy, landed=landed)
        return present(answers, slots)

    def refresh(
        self, slots: Mapping[Hashable, Slot], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> dict[Hashable, Any]:
        """Load the items of `slots` now; loads that began before are outdated."""
        every = [wanted_of(id_, slot, None) for id_, slot in slots.items()]
        wanted = by_flight(self._begun(every, outdate=True))
        return present(self._join(wanted, load, policy, landed=None), slots)

    def invalidate(self, keys: Sequence[str]) -> None:
        """Remove the entries of `keys`; loads that are running for them will not be stored."""
        if keys:
            self._reads.invalidations.deliver(keys, ())

    def _look(self, slots: Sequence[Slot]) -> list[Entry | Snapshot]:
        if self._batches is None or self._reads.invalidations or not slots:
            return [self._reads.look(slot) for slot in slots]
        try:
            return self._batches.read_many(slots, self._reads.clock())
        except BackendError as error:
            self._reads.excuse("read_many", error, slots[0])
            return [self._reads.invalidations.blind] * len(slots)

    def _begun(self, wanted: Sequence[Wanted], *, outdate: bool) -> list[Wanted]:
        """Return `wanted` with a snapshot each: the one that came with a stale entry, or else the store's."""
        slots = [item.slot for item in wanted if item.snapshot is None]
        return begun(wanted, self._begin(slots, outdate=outdate))

    def _begin(self, slots: Sequence[Slot], *, outdate: bool) -> list[Snapshot]:
        if self._batches is None or not slots:
            return [self._reads.begin(slot, None, outdate=outdate) for slot in slots]
        try:
            return self._batches.begin_many(slots, self._reads.clock(), outdate)
        except BackendError as error:
            self._reads.excuse("begin_many", error, slots[0])
            return [self._reads.invalidations.blind_for(outdate=outdate) for _ in slots]

    def _fetch(
        self,
        missing: Sequence[Wanted],
        load: Callable[[Sequence[Hashable]], Any],
        policy: CachePolicy,
        *,
        landed: int,
    ) -> dict[Hashable, Any]:
        """Return what flights bring for what is missing, or the reserve for it where they fail."""
        try:
            wanted = by_flight(missing, alone=not policy.lock)
            return self._join(wanted, load, policy, landed=landed)
        except (ConfigurationError, SerialisationError):
            raise
        except Exception as error:
            if not policy.stale_if_error:
                raise
            found = self._look([item.slot for item in missing])
            reserves = [self._reads.reserve_in(each, policy) for each in found]
            if None in reserves:  # a part would pass for the whole
                raise
            answers: dict[Hashable, Any] = {}
            for item, reserve in zip(missing, cast("list[Entry]", reserves), strict=True):
                self._reads.reserved(item.slot, reserve, error)
                answers[item.id] = reserve.value
            return answers

    def _join(
        self,
        wanted: Mapping[Ident, Sequence[Wanted]],
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
                entries = self._look([wanted[ident][0].slot for ident in idents])
                for ident, entry in zip(idents, entries, strict=True):
                    if isinstance(entry, Entry) and self._reads.serves(entry, policy):
                        found[ident] = entry.value
            left = {ident: wanted[ident][0] for ident in idents if ident not in found}
            return found | (self._load(left, load, policy) if left else {})

        timeout = cast("float | None", policy.load_timeout)
        brought = self._reads.flights.join_many(list(wanted), fill, timeout=timeout)
        return {item.id: value for ident, value in brought.items() for item in wanted[ident]}

    def _load(
        self, wanted: Mapping[Ident, Wanted], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> dict[Ident, Any]:
        """Run the loader once for all of `wanted`, and store what it brings."""
        reads, ids = self._reads, [item.id for item in wanted.values()]
        first = next(iter(wanted.values())).slot
        started = reads.clock()
        reads.watch.counts.loads += 1
        try:
            brought = items_of(loaded(partial(load, ids)), ids)
        except Exception as error:
            reads.watch.load(first, "error", reads.clock() - started, error)
            raise
        now = reads.clock()
        took = now - started
        items = with_absent(brought, wanted.values(), policy)
        writes = writes_of(wanted.values(), items, policy, now=now, load_seconds=took, chance=chance)
        try:
            stored = self._write(writes, now)
        except Exception as error:  # a value cannot be written as it is, or the store is asked to raise
            reads.watch.load(first, "error", took, error)
            raise
        reads.watch.load(first, "ok" if stored else "outdated", took)
        return {ident: items[item.id] for ident, item in wanted.items() if item.id in items}

    def _write(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float) -> bool:
        """Store what is still true; return whether all of it is."""
        operation = "write" if self._batches is None else "write_many"
        try:
            if self._batches is not None and writes:
                return all(self._batches.write_many(writes, now))
            stored = [self._reads.store.write(*write, now) for write in writes]
            return all(stored)
        except BackendError as error:
            self._reads.excuse(operation, error, writes[0][0])
            return False

    def _reload(
        self, stale: Sequence[Wanted], load: Callable[[Sequence[Hashable]], Any], policy: CachePolicy
    ) -> None:
        """Load behind the callers' backs."""
        try:
            wanted = self._begun(stale, outdate=False)
            self._join(by_flight(item for item in wanted if not item.blind), load, policy, landed=None)
        except Exception as error:
            self._reads.failed_unseen([item.slot for item in stale], error)
            raise
