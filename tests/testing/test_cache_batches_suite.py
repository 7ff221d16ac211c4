"""The part of CacheStoreSuite about batches goes red on stores that break it, each in its own way."""

from __future__ import annotations

import pytest

from scalekit.cache import Entry, MemoryCacheStore, Snapshot
from scalekit.testing._cache_batches import BatchTests
from scalekit.testing._cache_probe import place
from tests.testing.failing import failing, names_of

RACE = "test_no_stale_value_in_a_race_of_batches_and_invalidations"
TESTS = names_of(BatchTests, without={RACE})


class Right(MemoryCacheStore):
    def read_many(self, slots, now, /):
        return [self.read(slot, now) for slot in slots]

    def begin_many(self, slots, now, outdate, /):
        return [self.begin(slot, now, outdate) for slot in slots]

    def write_many(self, writes, now, /):
        return [self.write(slot, entry, snapshot, now) for slot, entry, snapshot in writes]


class RightAndAsync:
    def __init__(self):
        self.store = Right()

    def __getattr__(self, name):
        async def method(*args):
            return getattr(self.store, name)(*args)

        return method

    async def read(self, slot, now, /):
        return self.store.read(slot, now)

    async def begin(self, slot, now, outdate, /):
        return self.store.begin(slot, now, outdate)

    async def write(self, slot, entry, snapshot, now, /):
        return self.store.write(slot, entry, snapshot, now)

    async def delete(self, keys, /):
        self.store.delete(keys)

    async def invalidate(self, tags, /):
        self.store.invalidate(tags)

    async def read_many(self, slots, now, /):
        return self.store.read_many(slots, now)

    async def begin_many(self, slots, now, outdate, /):
        return self.store.begin_many(slots, now, outdate)

    async def write_many(self, writes, now, /):
        return self.store.write_many(writes, now)


class ReadsEachSlotOnce(Right):
    def read_many(self, slots, now, /):
        return [self.read(slot, now) for slot in dict.fromkeys(slots)]


class ReadsInItsOwnOrder(Right):
    def read_many(self, slots, now, /):
        return super().read_many(sorted(slots, key=lambda slot: slot.key), now)


class FindsEntriesAlone(Right):
    def read_many(self, slots, now, /):
        return [found for found in super().read_many(slots, now) if isinstance(found, Entry)]


class GivesNoneForAMiss(Right):
    def read_many(self, slots, now, /):
        return [f if isinstance(f, Entry) else None for f in super().read_many(slots, now)]


class ReadsIntoATuple(Right):
    def read_many(self, slots, now, /):
        return tuple(super().read_many(slots, now))


class GivesTheFirstSnapshotToAll(Right):
    def read_many(self, slots, now, /):
        found = super().read_many(slots, now)
        seen = next((each for each in found if isinstance(each, Snapshot)), None)
        return [each if isinstance(each, Entry) else seen for each in found]


class IgnoresTagsInBatches(Right):
    def read_many(self, slots, now, /):
        nodes = [self._nodes.get(slot.key) for slot in slots]
        return [
            self.read(slot, now) if node is None else Entry(node.value, expires=node.expires)
            for slot, node in zip(slots, nodes, strict=True)
        ]


class JudgesABatchByTheReadersTags(Right):
    def read_many(self, slots, now, /):
        return [
            Entry(node.value, expires=node.expires)
            if not slot.tags and (node := self._nodes.get(slot.key)) is not None
            else self.read(slot, now)
            for slot in slots
        ]


class ForgetsThatABatchIsStale(Right):
    def read_many(self, slots, now, /):
        found = super().read_many(slots, now)
        return [Entry(f.value, expires=f.expires) if isinstance(f, Entry) else f for f in found]


class FailsOnNothing(Right):
    def read_many(self, slots, now, /):
        _ = slots[0]
        return super().read_many(slots, now)


class BeginsIntoATuple(Right):
    def begin_many(self, slots, now, outdate, /):
        return tuple(super().begin_many(slots, now, outdate))


class BeginsForEntriesAlone(Right):
    def begin_many(self, slots, now, outdate, /):
        return [None if slot.key in self._nodes else self.begin(slot, now, outdate) for slot in slots]


class BeginsForOneOfAll(Right):
    def begin_many(self, slots, now, outdate, /):
        return [self.begin(slot, now, outdate) for slot in slots[:1]]


class BeginsForTheFirstAlone(Right):
    def begin_many(self, slots, now, outdate, /):
        return [self.begin(slots[0], now, outdate) for _ in slots]


class BeginsInItsOwnOrder(Right):
    def begin_many(self, slots, now, outdate, /):
        return super().begin_many(sorted(slots, key=lambda slot: slot.key), now, outdate)


class OutdatesThoughNotTold(Right):
    def begin_many(self, slots, now, outdate, /):
        return super().begin_many(slots, now, True)


class DoesNotOutdate(Right):
    def begin_many(self, slots, now, outdate, /):
        return super().begin_many(slots, now, False)


class OutdatesTheLastAlone(Right):
    def begin_many(self, slots, now, outdate, /):
        return [self.begin(slot, now, outdate and slot is slots[-1]) for slot in slots]


class TakesEntriesAway(Right):
    def begin_many(self, slots, now, outdate, /):
        self.delete([slot.key for slot in slots])
        return super().begin_many(slots, now, outdate)


class ForgetsTheTagsOfABatch(Right):
    def begin_many(self, slots, now, outdate, /):
        return super().begin_many([slot._replace(tags=()) for slot in slots], now, outdate)


class BeginsOnceForAllTime(Right):
    def begin_many(self, slots, now, outdate, /):
        self.delete([slot.key for slot in slots if slot.key not in self._nodes])
        return super().begin_many(slots, now, outdate)


class FailsToBeginNothing(Right):
    def begin_many(self, slots, now, outdate, /):
        _ = slots[0]
        return super().begin_many(slots, now, outdate)


class StoresStaleBatches(Right):
    def write_many(self, writes, now, /):
        return [self.write(slot, entry, None, now) for slot, entry, _ in writes]


class RefusesAllForOne(Right):
    def write_many(self, writes, now, /):
        if any(self._snapshot(slot) != snapshot for slot, _, snapshot in writes):
            return [False] * len(writes)
        return super().write_many(writes, now)


class StopsAtTheFirstRefusal(Right):
    def write_many(self, writes, now, /):
        done = []
        for slot, entry, snapshot in writes:
            done.append(all(done) and self.write(slot, entry, snapshot, now))
        return done


class SaysNothingOfWhatItStored(Right):
    def write_many(self, writes, now, /):
        super().write_many(writes, now)


class ClaimsThatAllIsStored(Right):
    def write_many(self, writes, now, /):
        super().write_many(writes, now)
        return [True] * len(writes)


class StoresWithoutTags(Right):
    def write_many(self, writes, now, /):
        return [
            self.write(place(slot.key), entry, Snapshot(snapshot[:1]), now)
            if self._snapshot(slot) == snapshot
            else False
            for slot, entry, snapshot in writes
        ]


class KeepsWhatHasExpired(Right):
    def write_many(self, writes, now, /):
        living = [write for write in writes if write[1].expires > now]
        super().write_many(living, now)
        return [True] * len(writes)


class ForgetsLifetimes(Right):
    def write_many(self, writes, now, /):
        longer = [(slot, Entry(entry.value, expires=now + 9_999.0), seen) for slot, entry, seen in writes]
        return super().write_many(longer, now)


BROKEN = [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Right) and cls is not Right
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_store_with_broken_batches_fails(broken):
    assert failing(broken(), TESTS)


@pytest.mark.parametrize("right", [Right, RightAndAsync])
def test_a_store_with_right_batches_fails_nothing(right):
    assert failing(right(), [*TESTS, RACE]) == set()


@pytest.mark.parametrize("broken", [StoresStaleBatches, IgnoresTagsInBatches])
def test_the_race_alone_finds_staleness(broken):
    # In rounds, until it shows: a busy machine may let one pass in peace.
    assert any(failing(broken(), [RACE]) == {RACE} for _ in range(10))
