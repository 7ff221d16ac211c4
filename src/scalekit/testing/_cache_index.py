# ruff: noqa: S101  # a suite of tests asserts
"""The part of `CacheStoreSuite` about indexes (`IndexedCacheStore`): what is found without calling the store.

A store with tiers may forget a copy that nobody has ended. So that an entry is served is asked until it is,
within `patience`; that one that has ended is not, is asked once.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

from scalekit.cache import Entry
from scalekit.testing._cache_probe import LONG, SHORT, CacheStoreTests, called, fresh
from scalekit.testing._cache_race import Race
from scalekit.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.cache import IndexedEntry, Slot

_MANY = 30
_READERS = 3


class IndexTests(CacheStoreTests):
    """Tests of `epoch`, `pin` and `renew`, used as a compiled wrapper does."""

    def _serves(self, entry: IndexedEntry) -> bool:
        """Whether a wrapper that has found `entry` in its index would serve it."""
        now = self._probe.clock()
        if entry.epoch is self._probe.store.epoch and entry.due > now:
            return True
        renewed = self._probe.store.renew(entry, now)
        assert isinstance(renewed, bool), f"renew() must say whether the entry is alive; got {renewed!r}"
        assert not renewed or entry.epoch is self._probe.store.epoch, "a renewed entry must be of this epoch"
        return renewed

    def _pin(self, slot: Slot, index: dict[Any, Any], place: Any = "place", lead: float = 0.0) -> None:
        self._probe.store.pin(slot.key, index, place, (int, str), lead)

    def _pinned(self, slot: Slot, index: dict[Any, Any], place: Any = "place") -> IndexedEntry:
        """Return the entry of `slot`, filed in `index`."""

        def filed() -> bool:
            self._probe.value(slot)
            self._pin(slot, index, place)
            return place in index

        self._soon(filed, "pin() files no entry that was just read")
        entry: IndexedEntry = index[place]
        return entry

    def _soon(self, attempt: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + self.patience
        while not attempt():
            assert time.monotonic() < deadline, failure

    def _until_over(self, entry: IndexedEntry) -> None:
        """Let more than `SHORT` pass, or what real time it takes until `entry` is no longer served."""
        if isinstance(self._probe.clock, ManualClock):
            self._probe.clock.advance(SHORT + 0.001)
            assert not self._serves(entry)
        else:
            self._soon(lambda: not self._serves(entry), "an entry is served after its time")

    def _sharing(self, count: int) -> Sequence[Slot]:
        shared = f"suite:shared{next(fresh)}"
        slots = [self._probe.slot() for _ in range(count)]
        return [slot._replace(tags=(*slot.tags, shared)) for slot in slots]

    def test_what_is_pinned_is_served(self) -> None:
        """What is pinned is served, as it was written, to whom has arguments of these kinds."""
        slot = self._probe.slot("t")
        self._probe.write(slot, "value")

        def served() -> bool:
            entry = self._pinned(slot, {})
            assert (entry.value, entry.kinds) == ("value", (int, str))
            entry.visited = True
            return self._serves(entry)

        self._soon(served, "a pinned entry is not served")

    def test_what_is_not_there_is_not_pinned(self) -> None:
        """What is not there is not pinned."""
        absent, deleted = self._probe.slot("t"), self._probe.slot("t")
        index: dict[Any, Any] = {}
        self._probe.write(deleted, "value")
        self._probe.delete(deleted.key)
        for slot in (absent, deleted):
            self._pin(slot, index)
        assert index == {}

    def test_a_second_pin_replaces_the_first(self) -> None:
        """A second pin replaces the first."""
        slot = self._probe.slot("t")
        self._probe.write(slot, "value")

        def replaced() -> bool:
            first: dict[Any, Any] = {}
            second: dict[Any, Any] = {}
            self._pinned(slot, first)
            self._pin(slot, second, "elsewhere")
            assert first == {}, "the store would not take it away from there"
            return "elsewhere" in second

        self._soon(replaced, "a second pin does not file the entry")

    def test_what_leaves_the_store_leaves_the_index(self) -> None:
        """What leaves the store leaves the index, and is not served to whom has just found it there."""
        for leave in (self._probe.delete, self._replace):
            slot = self._probe.slot("t")
            index: dict[Any, Any] = {}
            self._probe.write(slot, "value")
            entry = self._pinned(slot, index)
            leave(slot.key)
            assert index.get("place") is not entry, f"{leave.__name__} leaves it in the index"
            assert not self._serves(entry), f"it is served after {leave.__name__}"

    def _replace(self, key: str) -> None:
        self._probe.write(self._probe.slot()._replace(key=key), "newer")

    def test_each_tag_of_a_pinned_entry_ends_it(self) -> None:
        """Each tag of a pinned entry ends it."""
        for position in range(2):
            slot = self._probe.slot("t")
            index: dict[Any, Any] = {}
            self._probe.write(slot, "value")
            entry = self._pinned(slot, index)
            self._probe.invalidate(slot.tags[position])
            assert not self._serves(entry)

    def test_a_tag_ends_all_pinned_entries_that_carry_it(self) -> None:
        """A tag ends all pinned entries that carry it, however many."""
        slots = self._sharing(_MANY)
        index: dict[Any, Any] = {}
        for slot in slots:
            self._probe.write(slot, slot.key)
        entries = [self._pinned(slot, index, slot.key) for slot in slots]
        self._probe.invalidate(slots[0].tags[-1])
        assert not any(map(self._serves, entries))

    def test_what_is_invalidated_elsewhere_ends_no_pinned_entry(self) -> None:
        """What is invalidated elsewhere ends no pinned entry."""
        slot = self._probe.slot("t")
        self._probe.write(slot, "value")

        def served() -> bool:
            others = self._sharing(_MANY)
            index: dict[Any, Any] = {}
            for other in others:
                self._probe.write(other, "other")
            entry = self._pinned(slot, index)
            self._probe.delete(others[0].key)
            self._probe.invalidate(others[0].tags[-1])
            return self._serves(entry) and index.get("place") is entry

        self._soon(served, "an invalidation has ended the entries of other tags, too")

    def test_a_pinned_entry_is_served_while_it_is_fresh(self) -> None:
        """A pinned entry is served while it is fresh: of what is stale the face must hear."""
        for ttl in (SHORT, LONG):
            slot = self._probe.slot("t")
            self._probe.write(slot, "value", ttl=ttl, fresh=SHORT)
            index: dict[Any, Any] = {}
            self._probe.read(slot)
            self._pin(slot, index)
            if "place" in index:
                self._until_over(index["place"])

    def test_a_pinned_entry_is_due_before_its_freshness_ends(self) -> None:
        """A pinned entry is due `lead` load times before its freshness ends; at once, if that is infinite."""
        for load_seconds, lead, serves in (
            (LONG, 0.5, True),
            (LONG, 2.0, False),
            (0.0, 2.0, True),
            (LONG, math.inf, False),
            (0.0, math.inf, False),
        ):
            slot = self._probe.slot("t")
            self._probe.write(slot, "value", load_seconds=load_seconds)
            served = False

            def attempt(slot: Slot = slot, lead: float = lead) -> bool:
                index: dict[Any, Any] = {}
                self._pinned(slot, index)
                self._pin(slot, index, lead=lead)
                return "place" in index and self._serves(index["place"])

            if serves:
                self._soon(
                    attempt, f"an entry is due too early: {lead} times {load_seconds} s before its end"
                )
            else:
                served = attempt()
            assert not served, f"an entry is not due {lead} times {load_seconds} s before its end"

    def test_no_stale_value_in_a_race_of_pins_and_invalidations(self) -> None:
        """No stale value in a race of pins and invalidations."""
        slot, store, race = self._probe.slot("a"), self._probe.store, Race()
        index: dict[Any, IndexedEntry] = {}

        async def outdate(update: int) -> None:
            if update % 2:
                await called(store.invalidate, [slot.tags[1]])
            else:
                await called(store.delete, [slot.key])

        async def read() -> None:
            oldest = race.committed
            entry = index.get("place")
            if entry is not None and self._serves(entry):
                race.served(entry.value, oldest)
                await asyncio.sleep(0)
                return
            found = await called(store.read, slot, self._probe.clock())
            if not isinstance(found, Entry):
                value = await race.loaded()
                now = self._probe.clock()
                await called(store.write, slot, Entry(value, expires=now + LONG), found, now)
            self._pin(slot, index)

        race.run(self._probe, outdate, read, readers=_READERS)
