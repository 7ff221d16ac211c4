"""The part of CacheStoreSuite about indexes goes red on stores that break it, each in its own way."""

from __future__ import annotations

import math

import pytest

from scalekit.cache import MemoryCacheStore
from scalekit.testing._cache_index import IndexTests
from tests.testing.failing import failing, names_of

RACE = "test_no_stale_value_in_a_race_of_pins_and_invalidations"
TESTS = names_of(IndexTests, without={RACE})


class PinsNothing(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        pass


class PinsWhatIsNotThere(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, kinds, lead)
        index.setdefault(place, None)


class ForgetsTheKinds(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, (), lead)


class LeavesTheFirstPin(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        node = self._entries.nodes.get(key)
        if node is not None:
            node.index = None
        super().pin(key, index, place, kinds, lead)


class KeepsTheFirstPin(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        node = self._entries.nodes.get(key)
        if node is not None and node.index is None:
            super().pin(key, index, place, kinds, lead)


class LeavesTheDeletedInTheIndex(MemoryCacheStore):
    def delete(self, keys, /):
        for key in keys:
            node = self._entries.nodes.get(key)
            if node is not None:
                node.index = None
        super().delete(keys)


class LeavesTheReplacedInTheIndex(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        node = self._entries.nodes.get(slot.key)
        if node is not None:
            node.index = None
        return super().write(slot, entry, snapshot, now)


class LetsWhoHasFoundItServeTheDeleted(MemoryCacheStore):
    def delete(self, keys, /):
        nodes = [node for key in keys if (node := self._entries.nodes.get(key)) is not None]
        super().delete(keys)
        for node in nodes:
            node.epoch = self.epoch


class LetsWhoHasFoundItServeTheReplaced(MemoryCacheStore):
    def write(self, slot, entry, snapshot, now, /):
        node = self._entries.nodes.get(slot.key)
        stored = super().write(slot, entry, snapshot, now)
        if node is not None:
            node.epoch = self.epoch
        return stored


class KeepsItsEpoch(MemoryCacheStore):
    def _next_epoch(self):
        pass


class IgnoresTags(MemoryCacheStore):
    def invalidate(self, tags, /):
        pass


class EndsAllWithEach(MemoryCacheStore):
    def delete(self, keys, /):
        super().delete(list(self._entries.nodes))


class RenewsTheDead(MemoryCacheStore):
    def renew(self, entry, now, /):
        entry.epoch = self.epoch
        return True


class RenewsWhatIsDue(MemoryCacheStore):
    def renew(self, entry, now, /):
        return super().renew(entry, -math.inf)


class RenewsNothing(MemoryCacheStore):
    def renew(self, entry, now, /):
        return False


class RenewsWithoutTheEpoch(MemoryCacheStore):
    def renew(self, entry, now, /):
        before = entry.epoch
        renewed = super().renew(entry, now)
        entry.epoch = before
        return renewed


class SaysNothingOfRenewals(MemoryCacheStore):
    def renew(self, entry, now, /):
        super().renew(entry, now)


class IgnoresLoadTimes(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, kinds, lead if lead == math.inf else 0.0)


class IgnoresInfinity(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, kinds, 0.0 if lead == math.inf else lead)


class IsDueAtOnce(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, kinds, lead and math.inf)


class ServesToTheEndOfLife(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        super().pin(key, index, place, kinds, lead)
        if place in index and not lead:
            index[place].due = index[place].entry().expires


class NeverLetsGo(MemoryCacheStore):
    def pin(self, key, index, place, kinds, lead, /):
        if place not in index:
            super().pin(key, index, place, kinds, lead)
            node = self._entries.nodes.get(key)
            if node is not None:
                node.index = None

    def renew(self, entry, now, /):
        entry.epoch = self.epoch
        return True


BROKEN = [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, MemoryCacheStore) and cls is not MemoryCacheStore
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_store_with_a_broken_index_fails(broken):
    assert failing(broken(), TESTS, patience=0.1, stop_at_first=True)


def test_a_store_with_a_right_index_fails_nothing():
    assert failing(MemoryCacheStore(), [*TESTS, RACE], patience=10.0) == set()


@pytest.mark.parametrize("broken", [IgnoresTags, NeverLetsGo])
def test_the_race_alone_finds_staleness(broken):
    # In rounds, until it shows: a busy machine may let one pass in peace.
    assert any(failing(broken(), [RACE]) == {RACE} for _ in range(10))
