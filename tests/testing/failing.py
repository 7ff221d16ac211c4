"""Which tests of a suite fail on what it is given, without a pytest of its own."""

from __future__ import annotations

from scalekit.testing import CacheStoreSuite, ManualClock
from scalekit.testing._cache_probe import CacheStoreProbe
from scalekit.testing._driver import Driver


def names_of(part, *, without=()):
    """The names of the tests that `part` of a suite has itself or inherits, in alphabetical order."""
    return sorted({name for name in dir(part) if name.startswith("test_")} - set(without))


def failing(store, tests, *, suite=CacheStoreSuite, patience=0.5, stop_at_first=False):
    """The names of the suite's `tests` that `store` fails."""
    failed = set()
    for name in tests:
        one = suite()
        one.patience = patience
        with Driver() as driver:
            one._probe = CacheStoreProbe(driver, store, ManualClock())
            try:
                getattr(one, name)()
            except Exception:
                failed.add(name)
                if stop_at_first:
                    break
    return failed
