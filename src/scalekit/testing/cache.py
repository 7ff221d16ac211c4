# ruff: noqa: S101  # a suite of tests asserts
"""The conformance suite of cache stores.

    class TestMyStore(CacheStoreSuite):
        @pytest.fixture
        def store(self):
            return MyStore()

It runs sync and async stores alike, and compares them with a pure model. A store that goes by the
caller's `now` alone also offers the clock that the suite may move:

        @pytest.fixture
        def clock(self):
            return ManualClock()

Without it, lifetimes are measured in real time, and only that entries end is tested, not the instant.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from scalekit.cache import (
    AsyncBatchCacheStore,
    AsyncCacheStore,
    AsyncLeasingCacheStore,
    BatchCacheStore,
    CacheStore,
    IndexedCacheStore,
    LeasingCacheStore,
    NonblockingCacheStore,
)
from scalekit.testing._cache_batches import BatchTests
from scalekit.testing._cache_entries import EntryTests
from scalekit.testing._cache_index import IndexTests
from scalekit.testing._cache_leases import LeaseTests
from scalekit.testing._cache_loads import LoadTests
from scalekit.testing._cache_probe import CacheStoreProbe
from scalekit.testing._driver import Driver

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from scalekit._time import Clock

__all__ = ["CacheStoreSuite"]

_PARTS: dict[type, type] = {
    BatchCacheStore: BatchTests,
    IndexedCacheStore: IndexTests,
    LeasingCacheStore: LeaseTests,
}
_SYNC: dict[type, type] = {
    AsyncCacheStore: CacheStore,
    AsyncBatchCacheStore: BatchCacheStore,
    AsyncLeasingCacheStore: LeasingCacheStore,
}
_NEEDED = {
    name: protocol for protocol, part in _PARTS.items() for name in vars(part) if name.startswith("test_")
}


class CacheStoreSuite(EntryTests, LoadTests, BatchTests, IndexTests, LeaseTests):
    """Subclass it with a `store` fixture; every test proves a clause of `CacheStore`.

    What is optional, `BatchCacheStore`, `IndexedCacheStore` and `LeasingCacheStore`, is proven where the
    store has its methods, and skipped where it has not. Say in `protocols` which ones it has: then a method
    that is missing or misspelled is an error, and nothing is skipped.
    """

    protocols: Collection[type] | None = None
    """The optional protocols of the store (`NonblockingCacheStore` is one, too), no more and no less; None,
    the default, to find out."""

    def __init_subclass__(cls) -> None:
        """Leave out the tests of protocols that the class says its store has not."""
        super().__init_subclass__()
        declared = vars(cls).get("protocols")
        if declared is not None:
            kept = _sync(declared)
            for name, protocol in _NEEDED.items():
                if name not in vars(cls):
                    setattr(cls, name, vars(_PARTS[protocol])[name] if protocol in kept else None)

    @pytest.fixture
    def store(self) -> Any:
        """Return the store under test; override it."""
        raise NotImplementedError("a CacheStoreSuite needs a fixture named store")

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock that `now` is read from; a `ManualClock` if the store goes by `now` alone."""
        return time.monotonic

    @pytest.fixture(autouse=True)
    def _running(self, request: pytest.FixtureRequest, store: Any, clock: Clock) -> Iterator[None]:
        needed = _NEEDED.get(request.function.__name__)
        if needed is not None and self.protocols is None and not isinstance(store, needed):
            pytest.skip(f"{type(store).__name__} is no {needed.__name__}")
        with Driver() as driver:
            self._probe = CacheStoreProbe(driver, store, clock)
            yield

    def test_it_has_the_methods_of_its_protocols(self) -> None:
        """It has the methods of its protocols."""
        store = self._probe.store
        found = {each for each in (CacheStore, *_PARTS, NonblockingCacheStore) if isinstance(store, each)}
        assert CacheStore in found
        if NonblockingCacheStore in found:
            assert store.nonblocking is True, "`nonblocking` is True, or it is not there"
            assert not inspect.iscoroutinefunction(store.read), "what is awaited may wait"
        if self.protocols is not None:
            declared = _sync(self.protocols) | {CacheStore}
            assert found == declared, "the store's methods are not those of its `protocols`"


def _sync(protocols: Collection[type]) -> set[type]:
    """Return `protocols`, those for asyncio as their twins: the methods have the same names."""
    return {_SYNC.get(protocol, protocol) for protocol in protocols}
