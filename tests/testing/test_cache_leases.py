"""The tests of leases go red on stores that break the contract, each in its own way."""

from __future__ import annotations

import threading
import time

import pytest

from scalekit.cache import LeasingCacheStore, MemoryCacheStore
from scalekit.testing._cache_leases import LeaseTests
from tests.testing.failing import failing, names_of

TESTS = names_of(LeaseTests)


class Leasing(MemoryCacheStore):
    """Leases in memory, as they should be."""

    def __init__(self):
        super().__init__()
        self.leases = {}
        self.changed = threading.Condition()

    def owner(self, key):
        owner, ends = self.leases.get(key, (None, 0.0))
        return owner if ends > time.monotonic() else None

    def acquire(self, key, owner, seconds, /):
        with self.changed:
            if self.owner(key) not in {None, owner}:
                return False
            self.leases[key] = (owner, time.monotonic() + seconds)
            return True

    def release(self, key, owner, /):
        with self.changed:
            if self.owner(key) == owner:
                del self.leases[key]
                self.changed.notify_all()

    def wait(self, key, seconds, /):
        until = time.monotonic() + seconds
        with self.changed:
            while self.owner(key) is not None and (left := until - time.monotonic()) > 0:
                self.changed.wait(min(left, self.leases[key][1] - time.monotonic() + 0.001))


class GrantsToEverybody(Leasing):
    def acquire(self, key, owner, seconds, /):
        super().acquire(key, owner, seconds)
        return True


class RefusesToRenew(Leasing):
    def acquire(self, key, owner, seconds, /):
        with self.changed:
            return self.owner(key) is None and super().acquire(key, owner, seconds)


class RenewsForNothing(Leasing):
    def acquire(self, key, owner, seconds, /):
        with self.changed:
            return self.owner(key) == owner or super().acquire(key, owner, seconds)


class NeverEnds(Leasing):
    def owner(self, key):
        return self.leases.get(key, (None, 0.0))[0]


class IsReleasedByAnybody(Leasing):
    def release(self, key, owner, /):
        super().release(key, self.owner(key))


class IsReleasedByAFormerOwner(Leasing):
    former = None

    def acquire(self, key, owner, seconds, /):
        got = super().acquire(key, owner, seconds)
        if got and self.former is None:
            self.former = owner
        return got

    def release(self, key, owner, /):
        super().release(key, self.owner(key) if owner == self.former else owner)


class IsNeverReleased(Leasing):
    def release(self, key, owner, /):
        pass


class HasOneForAllKeys(Leasing):
    def acquire(self, key, owner, seconds, /):
        return super().acquire("", owner, seconds)

    def release(self, key, owner, /):
        super().release("", owner)


class StripsKeys(Leasing):
    def acquire(self, key, owner, seconds, /):
        return super().acquire(key.strip(), owner, seconds)

    def release(self, key, owner, /):
        super().release(key.strip(), owner)


class EndsWithTheEntry(Leasing):
    def delete(self, keys, /):
        super().delete(keys)
        for key in keys:
            self.leases.pop(key, None)


class OutdatesLoads(Leasing):
    def acquire(self, key, owner, seconds, /):
        self.delete([key])
        return super().acquire(key, owner, seconds)


class ChecksBeforeItTakes(Leasing):
    def acquire(self, key, owner, seconds, /):
        if self.owner(key) not in {None, owner}:
            return False
        time.sleep(0.02)
        self.leases[key] = (owner, time.monotonic() + seconds)
        return True


class NeverWakes(Leasing):
    def wait(self, key, seconds, /):
        time.sleep(seconds)


class WakesOneOfMany(Leasing):
    def release(self, key, owner, /):
        with self.changed:
            if self.owner(key) == owner:
                del self.leases[key]
                self.changed.notify()

    def wait(self, key, seconds, /):
        with self.changed:
            if self.owner(key) is not None:
                self.changed.wait(seconds)


class SleepsThroughTheEnd(Leasing):
    def wait(self, key, seconds, /):
        until = time.monotonic() + seconds
        with self.changed:
            while self.owner(key) is not None and (left := until - time.monotonic()) > 0:
                self.changed.wait(left)


class WaitsForEver(Leasing):
    def wait(self, key, seconds, /):
        super().wait(key, 3_600.0)


class ReturnsNothing(Leasing):
    def acquire(self, key, owner, seconds, /):
        super().acquire(key, owner, seconds)


BROKEN = [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Leasing) and cls is not Leasing
]


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_broken_leases_fail(broken):
    assert failing(broken(), TESTS, stop_at_first=True)


def test_right_leases_fail_nothing():
    assert isinstance(Leasing(), LeasingCacheStore)
    assert failing(Leasing(), TESTS, patience=10.0) == set()
