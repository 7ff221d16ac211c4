"""CacheStoreSuite goes red on stores that break the contract, each in its own way."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from scalekit.cache import Entry, MemoryCacheStore, Snapshot
from scalekit.testing import CacheStoreSuite, ManualClock
from scalekit.testing._cache_entries import EntryTests
from scalekit.testing._cache_loads import LoadTests
from scalekit.testing._cache_probe import CacheStoreMachine, CacheStoreProbe, place
from scalekit.testing._driver import Driver
from tests.testing.failing import failing, names_of

# The two that search at random are proven by themselves, below.
RANDOM = {"test_it_behaves_like_the_model", "test_no_stale_value_in_a_race_of_loads_and_invalidations"}
TESTS = names_of(EntryTests, without=RANDOM) + names_of(LoadTests, without=RANDOM)


class IgnoresTtl(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, Entry(entry.value, expires=float("inf")), snapshot, now)


class ServesAtTheInstantOfExpiry(MemoryCacheStore):
    def read(self, slot, now, /):
        return super().read(slot, now - 1e-6)


class ExtendsLifetimesOnRead(MemoryCacheStore):
    def read(self, slot, now, /):
        found = super().read(slot, now)
        if isinstance(found, Entry):
            self._entries.nodes[slot.key].due = found.expires = now + 3_600.0
        return found


class KeepsTheFirstLifetime(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        old = self._entries.nodes.get(slot.key)
        if old is not None:
            entry = Entry(entry.value, expires=old.entry().expires)
        return super().write(slot, entry, snapshot, now)


class KeepsTheOldWhenTheNewHasExpired(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, entry, snapshot, now) if entry.expires > now else True


class IgnoresTags(MemoryCacheStore):
    def invalidate(self, tags, /):
        pass


class InvalidatesTheFirstTagOnly(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(
            slot._replace(tags=slot.tags[:1]), entry, snapshot and Snapshot(snapshot[:2]), now
        )


class InvalidatesEverything(MemoryCacheStore):
    def invalidate(self, tags, /):
        super().invalidate([*tags, *self._entries._carriers._tags])


class JudgesByTheReadersTags(MemoryCacheStore):
    def __init__(self):
        super().__init__()
        self.written = {}

    def write(self, slot, entry, snapshot, now, /):
        stored = super().write(slot, entry, snapshot, now)
        if stored:
            self.written[slot.key] = (slot, entry)
        return stored

    def read(self, slot, now, /):
        written, entry = self.written.get(slot.key, (slot, None))
        return entry if len(slot.tags) < len(written.tags) else super().read(slot, now)


class StoresStaleFills(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, entry, None, now)


class ClaimsToStoreStaleFills(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        super().write(slot, entry, snapshot, now)
        return True


class DeleteLetsRunningLoadsStore(MemoryCacheStore):
    def delete(self, keys, /):
        for key in keys:
            if key in self._entries.nodes:
                self._entries._remove(self._entries.nodes[key], [])


class DeletesTheFirstOnly(MemoryCacheStore):
    def delete(self, keys, /):
        super().delete(keys[:1])


class BeginOutdatesNothing(MemoryCacheStore):
    def begin(self, slot, now, outdate, /):
        return self._entries.snapshot(slot)


class BeginAlwaysOutdates(MemoryCacheStore):
    def begin(self, slot, now, outdate, /):
        return super().begin(slot, now, True)


class ForgetsWhenFreshnessEnds(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, Entry(entry.value, expires=entry.expires), snapshot, now)


class EndsWithFreshness(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, Entry(entry.value, expires=entry.fresh_until), snapshot, now)


class ForgetsWhatALoadTook(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        entry.load_seconds = 0.0
        return super().write(slot, entry, snapshot, now)


class GivesStaleEntriesAnOldSnapshot(MemoryCacheStore):
    def read(self, slot, now, /):
        found = super().read(slot, now)
        if isinstance(found, Entry) and found.fresh_until <= now:
            found.snapshot = self._entries.snapshot(place("another", *slot.tags))
        return found


class BeginDropsTheEntry(MemoryCacheStore):
    def begin(self, slot, now, outdate, /):
        self.delete([slot.key])
        return super().begin(slot, now, outdate)


class SetOutdatesNothing(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, entry, snapshot or self._entries.snapshot(slot), now)


class FillsOutdateEachOther(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        stored = super().write(slot, entry, snapshot, now)
        self._entries.outdate(slot.key)
        return stored


class CountsInsteadOfTokens(MemoryCacheStore):
    """An absent tag counts as version 0, and every second invalidation loses the counter (ABA)."""

    def __init__(self):
        super().__init__()
        self.counted = {}

    def invalidate(self, tags, /):
        for tag in tags:
            token = self._entries._carriers.token(tag)
            super().invalidate([tag])
            lost = self.counted.pop(tag, None)
            if lost is None:
                self.counted[tag] = token
            else:
                lost.dead = False


class SnapshotsAreNeverEqual(MemoryCacheStore):
    def read(self, slot, now, /):
        found = super().read(slot, now)
        return self.begin(slot, now, True) if isinstance(found, Snapshot) else found


class StripsKeys(MemoryCacheStore):
    def _fold(self, slot):
        return slot._replace(key="".join(slot.key.split()))

    def read(self, slot, now, /):
        return super().read(self._fold(slot), now)

    def write(self, slot, entry, snapshot, now, /):
        return super().write(self._fold(slot), entry, snapshot, now)


class CutsLongKeys(StripsKeys):
    def _fold(self, slot):
        return slot._replace(key=slot.key[:250])


class MixesKeysAndTags(MemoryCacheStore):
    def invalidate(self, tags, /):
        super().invalidate(tags)
        self.delete(tags)


class LosesNone(MemoryCacheStore):
    def read(self, slot, now, /):
        found = super().read(slot, now)
        return self._entries.snapshot(slot) if isinstance(found, Entry) and found.value is None else found


class CopiesThroughText(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        return super().write(slot, Entry(str(entry.value), expires=entry.expires), snapshot, now)


class ReturnsNothing(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        super().write(slot, entry, snapshot, now)


BROKEN = [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, MemoryCacheStore) and cls is not MemoryCacheStore
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_store_fails(broken):
    assert failing(broken(), TESTS, stop_at_first=True)


def test_a_right_store_fails_nothing():
    assert failing(MemoryCacheStore(), TESTS, patience=10.0) == set()


@pytest.mark.parametrize("broken", [StoresStaleFills, IgnoresTags, IgnoresTtl])
def test_the_model_alone_finds_it(broken):
    def machine():
        return CacheStoreMachine(CacheStoreProbe(driver, broken(), ManualClock()))

    without_shrinking = settings(
        phases=[Phase.generate],
        max_examples=1_000,  # it ends with the first that fails
        database=None,
        deadline=None,
        report_multiple_bugs=False,
    )
    with Driver() as driver, pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=without_shrinking)


@pytest.mark.parametrize("broken", [StoresStaleFills, IgnoresTags])
def test_the_race_alone_finds_staleness(broken):
    suite = CacheStoreSuite()
    with Driver() as driver:
        suite._probe = CacheStoreProbe(driver, broken(), ManualClock())
        with pytest.raises(AssertionError):
            suite.test_no_stale_value_in_a_race_of_loads_and_invalidations()


def test_it_asks_for_a_store():
    with pytest.raises(NotImplementedError, match="fixture named store"):
        CacheStoreSuite.store.__wrapped__(CacheStoreSuite())
