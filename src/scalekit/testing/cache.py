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

import time
from typing import TYPE_CHECKING, Any

import pytest

from scalekit.testing._cache_batches import BatchTests
from scalekit.testing._cache_entries import EntryTests
from scalekit.testing._cache_leases import LeaseTests
from scalekit.testing._cache_loads import LoadTests
from scalekit.testing._cache_probe import CacheStoreProbe
from scalekit.testing._driver import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalekit._time import Clock

__all__ = ["CacheStoreSuite"]


class CacheStoreSuite(EntryTests, LoadTests, BatchTests, LeaseTests):
    """Subclass it with a `store` fixture; every test proves a clause of `CacheStore`.

    Where the store is a `BatchCacheStore` or a `LeasingCacheStore`, too, that contract is proven as well.
    A store that takes only some kinds of values may override `values`.
    """

    @pytest.fixture
    def store(self) -> Any:
        """Return the store under test; override it."""
        raise NotImplementedError("a CacheStoreSuite needs a fixture named store")

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock that `now` is read from; a `ManualClock` if the store goes by `now` alone."""
        return time.monotonic

    @pytest.fixture(autouse=True)
    def _running(self, store: Any, clock: Clock) -> Iterator[None]:
        with Driver() as driver:
            self._probe = CacheStoreProbe(driver, store, clock)
            yield
