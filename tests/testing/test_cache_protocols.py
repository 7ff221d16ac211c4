"""Of optional protocols CacheStoreSuite skips what a store has not, and insists on what it is said to."""

from __future__ import annotations

import pytest

from scalekit.cache import (
    AsyncBatchCacheStore,
    BatchCacheStore,
    CacheStore,
    IndexedCacheStore,
    LeasingCacheStore,
    MemoryCacheStore,
    NonblockingCacheStore,
)
from scalekit.testing import CacheStoreSuite
from scalekit.testing._cache_batches import BatchTests
from scalekit.testing._cache_index import IndexTests
from scalekit.testing._cache_leases import LeaseTests
from tests.testing.failing import failing, names_of

pytest_plugins = ["pytester"]

BATCHES, INDEX, LEASES = (names_of(part) for part in (BatchTests, IndexTests, LeaseTests))
NAMED = "test_it_has_the_methods_of_its_protocols"


def collected(suite):
    """The names of the tests that pytest would find in `suite`."""
    return {name for name in names_of(suite) if callable(getattr(suite, name))}


def test_what_the_store_has_not_is_skipped_where_nothing_is_said(pytester):
    pytester.makepyfile("""
        import pytest
        from scalekit.cache import MemoryCacheStore
        from scalekit.testing import CacheStoreSuite

        class TestIt(CacheStoreSuite):
            @pytest.fixture
            def store(self):
                return MemoryCacheStore()
    """)
    outcome = pytester.runpytest_subprocess(
        "-p", "no:randomly", "-rs", "-k", " or ".join([*BATCHES, *INDEX, *LEASES])
    )
    outcome.assert_outcomes(passed=len(INDEX), skipped=len(BATCHES) + len(LEASES), deselected=None)
    outcome.stdout.fnmatch_lines(["SKIPPED*MemoryCacheStore is no LeasingCacheStore"])


def test_what_is_said_not_to_be_there_is_no_test():
    class Said(CacheStoreSuite):
        protocols = (IndexedCacheStore,)

    assert collected(CacheStoreSuite) - collected(Said) == {*BATCHES, *LEASES}

    class Otherwise(Said):
        protocols = (AsyncBatchCacheStore, LeasingCacheStore)

        def test_a_batch_of_nothing(self):
            """Of the subclass's own."""

    assert collected(CacheStoreSuite) - collected(Otherwise) == set(INDEX)
    assert Otherwise.test_a_batch_of_nothing is not CacheStoreSuite.test_a_batch_of_nothing

    class Inherits(Otherwise):
        pass

    assert collected(Inherits) == collected(Otherwise)


class Misspelled(MemoryCacheStore):
    def read_many(self, slots, now, /):
        return [self.read(slot, now) for slot in slots]

    def wriet_many(self, writes, now, /):
        return [self.write(slot, entry, snapshot, now) for slot, entry, snapshot in writes]


class MayBlock(MemoryCacheStore):
    nonblocking = False


@pytest.mark.parametrize(
    ("store", "declared"),
    [
        (MemoryCacheStore(), (IndexedCacheStore,)),
        (MemoryCacheStore(), (IndexedCacheStore, NonblockingCacheStore, BatchCacheStore)),
        (Misspelled(), (IndexedCacheStore, NonblockingCacheStore, BatchCacheStore)),
        (MayBlock(), (IndexedCacheStore, NonblockingCacheStore)),
        (MayBlock(), None),
        (object(), ()),
    ],
)
def test_what_is_said_must_be_so(store, declared):
    class Suite(CacheStoreSuite):
        protocols = declared

    assert failing(store, [NAMED], suite=Suite) == {NAMED}


@pytest.mark.parametrize("extra", [(), (CacheStore,)])
def test_what_is_said_truly_is_no_failure(extra):
    class Suite(CacheStoreSuite):
        protocols = (IndexedCacheStore, NonblockingCacheStore, *extra)

    assert failing(MemoryCacheStore(), [NAMED], suite=Suite) == set()


def test_what_is_awaited_may_wait():
    class Async(MemoryCacheStore):
        async def read(self, slot, now, /):
            pass

    assert failing(Async(), [NAMED]) == {NAMED}
