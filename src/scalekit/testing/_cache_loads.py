# ruff: noqa: S101  # a suite of tests asserts
"""The part of `CacheStoreSuite` about loads: snapshots, races, and the model."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from scalekit.cache import Entry, Slot
from scalekit.testing._cache_probe import LONG, CacheStoreMachine, CacheStoreTests, called
from scalekit.testing._cache_race import Race

if TYPE_CHECKING:
    from collections.abc import Sequence

_READERS = 4


class LoadTests(CacheStoreTests):
    """Tests of calls that overlap."""

    # -- snapshots --------------------------------------------------------------------------------

    def test_a_load_that_began_before_an_invalidation_is_not_stored(self) -> None:
        """A load that began before an invalidation is not stored."""
        for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
            for had_entry in (False, True):
                slot = self._probe.slot("a", "b")
                snapshot = self._probe.missed(slot)
                if had_entry:
                    assert self._probe.write(slot, "first", snapshot)
                self._probe.outdating(slot)[i]()
                assert not self._probe.write(slot, "stale", snapshot), f"way {i} of outdating a load did not"
                found = self._probe.read(slot)
                assert not isinstance(found, Entry) or found.value != "stale"

    def test_an_outdated_snapshot_stays_outdated(self) -> None:
        """An outdated snapshot stays outdated."""
        for outdate_again in (False, True):
            for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
                slot = self._probe.slot("a", "b")
                snapshot = self._probe.missed(slot)
                self._probe.outdating(slot)[i]()
                if outdate_again:
                    self._probe.outdating(slot)[i]()
                assert not self._probe.write(slot, "stale", snapshot), "a token must never come back (ABA)"
                self._probe.write(slot, "fresh", self._probe.begin(slot))
                self._probe.delete(slot.key)
                assert not self._probe.write(slot, "stale", snapshot), "a deleted entry let an old load in"
                self._probe.missed(slot)

    def test_what_is_invalidated_elsewhere_does_not_matter(self) -> None:
        """What is invalidated elsewhere does not matter."""
        slot, other = self._probe.slot("a"), self._probe.slot("a")
        snapshot = self._probe.missed(slot)
        for outdate in self._probe.outdating(other):
            outdate()
        assert self._probe.write(slot, "value", snapshot)
        assert self._probe.value(slot) == "value"

    def test_snapshots_are_equal_until_something_is_invalidated(self) -> None:
        """Snapshots are equal until something is invalidated."""
        for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
            slot = self._probe.slot("a", "b")
            first, second = self._probe.missed(slot), self._probe.missed(slot)
            assert first == second
            assert hash(first) == hash(second)
            self._probe.outdating(slot)[i]()
            assert self._probe.begin(slot) != first
            self._probe.delete(slot.key)
            assert self._probe.missed(slot) not in {first, second}

    def test_a_miss_after_begin_belongs_to_that_load(self) -> None:
        """A miss after begin belongs to that load."""
        slot = self._probe.slot("a")
        assert self._probe.begin(slot) == self._probe.missed(slot)

    def test_two_loads_of_one_snapshot_may_both_be_stored(self) -> None:
        """Two loads of one snapshot may both be stored."""
        slot = self._probe.slot("a")
        snapshot = self._probe.missed(slot)
        assert self._probe.write(slot, "first", snapshot)
        assert self._probe.write(slot, "second", snapshot)
        assert self._probe.value(slot) == "second"

    def test_begin_leaves_the_entry_readable(self) -> None:
        """Begin leaves the entry readable."""
        slot = self._probe.slot("a")
        self._probe.write(slot, "old")
        snapshot = self._probe.begin(slot)
        assert self._probe.value(slot) == "old"
        assert self._probe.write(slot, "new", snapshot)
        assert self._probe.value(slot) == "new"

    def test_begin_joins_the_loads_that_are_running_unless_told_to_outdate_them(self) -> None:
        """Begin joins the loads that are running unless told to outdate them."""
        slot = self._probe.slot("a")
        first = self._probe.missed(slot)
        second = self._probe.begin(slot, outdate=False)
        assert first == second
        assert self._probe.write(slot, "first", first)
        assert self._probe.write(slot, "second", second)
        assert self._probe.begin(slot, outdate=True) not in {first, second}
        assert not self._probe.write(slot, "late", second)
        assert self._probe.value(slot) == "second"

    def test_a_reload_of_a_stale_entry_is_outdated_like_any_other(self) -> None:
        """A reload of a stale entry is outdated like any other."""
        for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
            slot = self._probe.slot("a", "b")
            assert self._probe.write(slot, "first", self._probe.missed(slot), fresh=0.0)
            snapshot = self._probe.read(slot).snapshot or self._probe.begin(slot, outdate=False)
            assert snapshot == self._probe.begin(slot, outdate=False)
            assert self._probe.write(slot, "second", snapshot, fresh=0.0)
            assert self._probe.value(slot) == "second"
            self._probe.outdating(slot)[i]()
            assert not self._probe.write(slot, "stale", snapshot), f"way {i} of outdating a reload did not"

    # -- concurrency ------------------------------------------------------------------------------

    def test_concurrent_writers_of_many_keys_lose_nothing(self) -> None:
        """Concurrent writers of many keys lose nothing."""
        slots = [self._probe.slot("a") for _ in range(40)]

        async def write(mine: Sequence[Slot]) -> None:
            for slot in mine:
                now = self._probe.clock()
                entry = Entry(slot.key, expires=now + LONG)
                await called(self._probe.store.write, slot, entry, None, now)

        self._probe.concurrently([partial(write, slots[i::4]) for i in range(4)])
        assert [self._probe.value(slot) for slot in slots] == [slot.key for slot in slots]

    def test_no_stale_value_in_a_race_of_loads_and_invalidations(self) -> None:
        """No stale value in a race of loads and invalidations."""
        slot, store, race = self._probe.slot("a", "b"), self._probe.store, Race()

        async def outdate(update: int) -> None:
            if update % 3:
                await called(store.invalidate, [slot.tags[update % 3]])
            else:
                await called(store.delete, [slot.key])

        async def read() -> None:
            oldest = race.committed
            found = await called(store.read, slot, self._probe.clock())
            if isinstance(found, Entry):
                race.served(found.value, oldest)
                await asyncio.sleep(0)
                return
            value = await race.loaded()
            now = self._probe.clock()
            await called(store.write, slot, Entry(value, expires=now + LONG), found, now)

        race.run(self._probe, outdate, read, readers=_READERS)

    # -- the model --------------------------------------------------------------------------------

    def test_it_behaves_like_the_model(self) -> None:
        """It behaves like the model."""
        machine = cast("type[RuleBasedStateMachine]", partial(CacheStoreMachine, self._probe))
        run_state_machine_as_test(
            machine, settings=settings(stateful_step_count=25, deadline=None, database=None)
        )
