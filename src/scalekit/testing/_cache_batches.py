# ruff: noqa: S101  # a suite of tests asserts
"""The part of `CacheStoreSuite` about batches (`BatchCacheStore`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.cache import Entry, Snapshot
from scalekit.testing._cache_probe import LONG, CacheStoreTests, called, fresh
from scalekit.testing._cache_race import Race

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache import Slot

_READERS = 3


class BatchTests(CacheStoreTests):
    """Tests of `read_many`, `begin_many` and `write_many`."""

    def _read_many(self, slots: Sequence[Slot]) -> list[Any]:
        found: list[Any] = self._probe.driver(self._probe.store.read_many, slots, self._probe.clock())
        assert type(found) is list, f"read_many() must return a list; got {found!r}"
        assert len(found) == len(slots), "read_many() must return one answer for each slot"
        assert all(isinstance(each, (Entry, Snapshot)) for each in found), (
            f"read_many() must return entries and snapshots; got {found!r}"
        )
        return found

    def _begin_many(self, slots: Sequence[Slot], *, outdate: bool) -> list[Snapshot]:
        begun: list[Snapshot] = self._probe.driver(
            self._probe.store.begin_many, slots, self._probe.clock(), outdate
        )
        assert type(begun) is list, f"begin_many() must return a list; got {begun!r}"
        assert len(begun) == len(slots), "begin_many() must return one snapshot for each slot"
        assert all(isinstance(each, Snapshot) for each in begun), (
            f"begin_many() must return snapshots; got {begun!r}"
        )
        return begun

    def _values(self, slots: Sequence[Slot]) -> list[Any]:
        return [found.value if isinstance(found, Entry) else None for found in self._read_many(slots)]

    def _write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]]) -> list[bool]:
        stored: list[bool] = self._probe.driver(self._probe.store.write_many, writes, self._probe.clock())
        assert type(stored) is list, f"write_many() must return a list; got {stored!r}"
        assert [type(each) for each in stored] == [bool] * len(writes), (
            f"write_many() must return for each write whether it stored; got {stored!r}"
        )
        return stored

    def _entry(self, value: Any, ttl: float = LONG) -> Entry:
        return Entry(value, expires=self._probe.clock() + ttl)

    def _slots(self, count: int) -> list[Slot]:
        """Return slots that share a tag, each with one of its own besides."""
        shared = f"suite:shared{next(fresh)}"
        return [
            slot._replace(tags=(shared, *slot.tags)) for slot in (self._probe.slot() for _ in range(count))
        ]

    def test_a_batch_reads_what_single_reads_do(self) -> None:
        """A batch reads what single reads do, in the order asked, also where a slot comes twice."""
        living, absent, stale, dead, gone = self._slots(5)
        self._probe.write(living, "living")
        self._probe.write(stale, "stale", fresh=0.0, load_seconds=1.5)
        self._probe.write(dead, "dead")
        self._probe.invalidate(dead.tags[-1])
        self._probe.write(gone, "gone")
        self._probe.delete(gone.key)
        slots = [stale, absent, living, dead, living, gone]
        found = self._read_many(slots)
        assert [isinstance(each, Entry) for each in found] == [True, False, True, False, True, False]
        assert [found[i].value for i in (0, 2, 4)] == ["stale", "living", "living"]
        assert found[0].fresh_until <= self._probe.clock() < found[0].expires
        assert abs(found[0].load_seconds - 1.5) < 0.001  # noqa: PLR2004
        for place in (1, 3, 5):
            assert found[place] == self._probe.missed(slots[place]), "a snapshot of another slot or time"

    def test_a_batch_of_nothing(self) -> None:
        """A batch of nothing."""
        assert self._read_many([]) == []
        assert self._begin_many([], outdate=True) == []
        assert self._write_many([]) == []

    def test_what_a_batch_writes_is_read(self) -> None:
        """What a batch writes is read, one by one and together."""
        slots = self._slots(20)
        snapshots = self._read_many(slots)
        assert all(isinstance(each, Snapshot) for each in snapshots)
        writes = [(slot, self._entry(slot.key), seen) for slot, seen in zip(slots, snapshots, strict=True)]
        assert self._write_many(writes) == [True] * 20
        assert [self._probe.value(slot) for slot in slots] == [slot.key for slot in slots]
        assert self._values(slots[::-1]) == [slot.key for slot in slots[::-1]]
        found = self._probe.read(slots[0])
        assert self._probe.clock() + LONG - 60 <= found.expires <= self._probe.clock() + LONG + 1

    def test_a_batch_begins_as_single_loads_do(self) -> None:
        """A batch begins as single loads do, in the order asked, next to loads that are running."""
        living, absent, dead = slots = self._slots(3)
        self._probe.write(living, "living")
        self._probe.write(dead, "dead")
        self._probe.invalidate(dead.tags[-1])
        running = self._probe.missed(absent)
        begun = self._begin_many(slots, outdate=False)
        assert begun == [self._probe.begin(slot, outdate=False) for slot in slots]
        assert begun[1] == running
        assert self._begin_many(slots[::-1], outdate=False) == begun[::-1]
        assert self._values(slots) == ["living", None, None], "an entry stays readable, and a dead one dead"
        assert self._probe.write(absent, "loaded", running), "begin_many() must outdate only where told to"
        writes = [(slot, self._entry("new"), seen) for slot, seen in zip(slots, begun, strict=True)]
        assert self._write_many(writes) == [True] * 3

    def test_a_batch_that_outdates_wins_over_the_loads_before_it(self) -> None:
        """A batch that is told to outdates the loads before it, for its own keys alone."""
        *slots, other = self._slots(4)
        for slot in slots:
            self._probe.write(slot, "old")
        before = [self._probe.begin(slot) for slot in (*slots, other)]
        begun = self._begin_many(slots, outdate=True)
        assert self._values(slots) == ["old"] * 3, "the entries must stay readable"
        assert not any(self._probe.write(*each) for each in zip(slots, "abc", before[:3], strict=True))
        assert self._probe.write(other, "other", before[3])
        assert [self._probe.write(slot, slot.key, seen) for slot, seen in zip(slots, begun, strict=True)] == [
            True
        ] * 3
        assert self._values(slots) == [slot.key for slot in slots]

    def test_a_load_of_a_batch_is_outdated_like_any_other(self) -> None:
        """A load of a batch is outdated like any other, and the others of its batch are not."""
        for outdate in (False, True):
            for i in range(len(self._probe.outdating(self._probe.slot("a")))):
                slots = [self._probe.slot("a") for _ in range(2)]
                begun = self._begin_many(slots, outdate=outdate)
                self._probe.outdating(slots[0])[i]()
                stored = [self._probe.write(slot, "x", seen) for slot, seen in zip(slots, begun, strict=True)]
                assert stored == [False, True], f"way {i} of outdating a load did not"

    def test_an_invalidation_ends_the_entries_of_a_batch_that_carry_the_tag(self) -> None:
        """An invalidation ends the entries of a batch that carry the tag, and no other."""
        slots = self._slots(4)
        self._write_many([(slot, self._entry(slot.key), self._probe.begin(slot)) for slot in slots])
        self._probe.invalidate(slots[1].tags[-1])
        assert self._values(slots) == [slots[0].key, None, slots[2].key, slots[3].key]
        self._probe.delete(slots[2].key)
        assert self._values(slots) == [slots[0].key, None, None, slots[3].key]
        self._probe.invalidate(slots[0].tags[0])
        assert self._values(slots) == [None] * 4

    def test_each_write_of_a_batch_is_judged_by_itself(self) -> None:
        """Each write of a batch is judged by itself: what is outdated is refused, and the others stored."""
        for i in range(len(self._probe.outdating(self._probe.slot("a")))):
            before, outdated, after = (self._probe.slot("a") for _ in range(3))
            slots = [before, outdated, after]
            snapshots = self._read_many(slots)
            self._probe.outdating(outdated)[i]()
            writes = [(slot, self._entry("new"), seen) for slot, seen in zip(slots, snapshots, strict=True)]
            assert self._write_many(writes) == [True, False, True], f"way {i} of outdating a load did not"
            assert self._values([before, after]) == ["new", "new"]
            found = self._probe.read(outdated)
            assert not isinstance(found, Entry) or found.value != "new"

    def test_a_shared_tag_outdates_the_whole_batch(self) -> None:
        """A shared tag outdates the whole batch."""
        slots = self._slots(3)
        snapshots = self._read_many(slots)
        self._probe.invalidate(slots[0].tags[0])
        writes = [(slot, self._entry("stale"), seen) for slot, seen in zip(slots, snapshots, strict=True)]
        assert self._write_many(writes) == [False] * 3
        assert self._values(slots) == [None] * 3

    def test_a_batch_judges_entries_by_the_tags_they_were_written_with(self) -> None:
        """A batch judges entries by the tags they were written with."""
        slots = self._slots(3)
        for slot in slots:
            self._probe.write(slot, slot.key)
        untagged = [slot._replace(tags=()) for slot in slots]
        assert self._values(untagged) == [slot.key for slot in slots]
        self._probe.invalidate(slots[1].tags[-1])
        assert self._values(untagged) == [slots[0].key, None, slots[2].key]

    def test_an_expired_entry_in_a_batch_takes_the_old_one_away(self) -> None:
        """An expired entry in a batch takes the old one away."""
        slots = self._slots(2)
        for slot in slots:
            self._probe.write(slot, "old")
        snapshots = [self._probe.begin(slot) for slot in slots]
        writes = [
            (slots[0], self._entry("expired", ttl=0.0), snapshots[0]),
            (slots[1], self._entry("new"), snapshots[1]),
        ]
        assert self._write_many(writes) == [True, True]
        assert self._values(slots) == [None, "new"]

    def test_no_stale_value_in_a_race_of_batches_and_invalidations(self) -> None:
        """No stale value in a race of batches and invalidations."""
        slots, store, race = self._slots(3), self._probe.store, Race()

        async def outdate(update: int) -> None:
            if update % 2:
                await called(store.invalidate, [slots[0].tags[0]])
            else:
                await called(store.delete, [slot.key for slot in slots])

        async def read() -> None:
            oldest = race.committed
            found = await called(store.read_many, slots, self._probe.clock())
            for each in found:
                if isinstance(each, Entry):
                    race.served(each.value, oldest)
            value = await race.loaded()
            writes = [
                (slot, self._entry(value), each)
                for slot, each in zip(slots, found, strict=True)
                if isinstance(each, Snapshot)
            ]
            await called(store.write_many, writes, self._probe.clock())

        race.run(self._probe, outdate, read, readers=_READERS)
