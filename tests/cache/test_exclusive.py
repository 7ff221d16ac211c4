"""Structures in memory at a fork: nobody waits for a thread that is not there, nor believes what it left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import cachetools
import pytest

from scalekit.cache import Entry, MemoryCacheStore, Slot, _carriers, _entries, _exclusive
from scalekit.cache._exclusive import Exclusive
from scalekit.cache._pending import Pending
from scalekit.cache.cachetools import CachetoolsCacheStore
from scalekit.testing._cache_probe import place
from tests.cache.either import DEADLINE
from tests.cache.forking import in_child, inside
from tests.cache.test_memory import has, peek, put

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def store():
    return MemoryCacheStore()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_exclusive, "_PATIENCE", 0.01)


def test_a_store_that_another_thread_is_inside_of_is_empty_in_the_child(store):
    index = {}
    for i in range(9):
        put(store, f"k{i}", "many")
    put(store, "k", "few", "many")
    store.pin("k", index, 1, (), 0.0)
    entry, epoch = index[1], store.epoch
    slot = place("l", "few", "many", "other")
    snapshot = store.begin(slot, 0.0, False)

    def check():
        assert len(store) == 0
        assert index == {}
        assert store.epoch is not epoch
        assert entry.epoch is not store.epoch, "what a wrapper holds already"
        assert not store.renew(entry, 0.0)
        assert not has(store, "k")
        assert not store.write(slot, Entry(1, expires=9.0), snapshot, 0.0), "it may be outdated, who knows"
        again = store.begin(slot, 0.0, False)
        assert store.write(slot, Entry(1, expires=9.0), again, 0.0)
        assert peek(store) == ["l"]

    with inside(store._exclusive):
        in_child(check)
    assert index == {1: entry}
    assert store.renew(entry, 0.0)
    assert store.write(slot, Entry(1, expires=9.0), snapshot, 0.0)


def test_a_store_that_nobody_else_is_inside_of_is_kept(store):
    put(store, "k")
    in_child(lambda: peek(store) == ["k"] or pytest.fail("it is not there"))
    with store._exclusive:  # a finaliser that forks, or a policy
        in_child(lambda: store._exclusive._depth == 1 or pytest.fail("it lost its own call"))
    assert has(store, "k")


def test_what_was_left_for_the_end_of_a_lost_call_is_not_done(store):
    def check():
        put(store, "l")
        assert peek(store) == ["l"]

    with inside(store._exclusive, lambda: put(store, "k")):
        in_child(check)
    assert peek(store) == ["k"]


def test_a_token_can_be_ended_at_every_instant_of_a_change(store):
    """A load that runs in the thread which forks may hold it."""
    put(store, "k0", "t")
    held = store.begin(place("k", "t"), 0.0, False)
    lost = []

    def at_each_line(frame, event, arg):
        filed = [*store._entries._loads.values(), *store._entries._carriers.tokens()]
        if not all(token.dead or any(token is other for other in filed) for token in held):
            lost.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return at_each_line

    def trace(frame, event, arg):
        return at_each_line if frame.f_code.co_filename in files else None

    files = {module.__file__ for module in (_carriers, _entries)}
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for i in range(12):
            put(store, f"k{i}", "t")
        for i in range(12):
            store.delete([f"k{i}"])
        for i in range(12):
            put(store, f"k{i}", "t")
        store.invalidate(["t"])
        store.begin(place("k"), 0.0, True)
    finally:
        sys.settrace(before)
    assert all(token.dead for token in held)
    assert not lost


def test_finalisers_of_what_is_forgotten_may_use_any_store():
    stores = [MemoryCacheStore(), MemoryCacheStore()]

    class Final:
        def __del__(self):
            for store in stores:
                put(store, "final")

    for store in stores:
        put(store, "k", value=Final())

    def check():
        for store in stores:
            assert peek(store) == ["final"]

    with inside(stores[0]._exclusive), inside(stores[1]._exclusive):
        in_child(check)
    del Final.__del__


def test_a_fork_waits_for_who_is_inside_a_cache_of_cachetools():
    entered, forking = threading.Event(), threading.Event()

    class Slow(cachetools.LRUCache):
        def __setitem__(self, key, value, **more):
            entered.set()
            forking.wait(DEADLINE)
            super().__setitem__(key, value, **more)

    store = CachetoolsCacheStore(Slow(10))
    hold = Exclusive.hold

    def holding(self, seconds):
        forking.set()
        return hold(self, seconds)

    writer = threading.Thread(target=put, args=(store, "k"))
    writer.start()
    assert entered.wait(DEADLINE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Exclusive, "hold", holding)
        in_child(lambda: has(store, "k") or pytest.fail("it is not there"))
    writer.join(DEADLINE)
    other = threading.Thread(target=put, args=(store, "l"))
    other.start()
    other.join(DEADLINE)
    assert has(store, "l")


@pytest.mark.usefixtures("impatient")
def test_a_fork_does_not_wait_for_ever():
    store = CachetoolsCacheStore(cachetools.LRUCache(10))
    put(store, "k", "t")
    slot = place("l", "t")
    snapshot = store.begin(slot, 0.0, False)

    def check():
        assert not has(store, "k")
        assert not store.write(slot, Entry(1, expires=9.0), snapshot, 0.0)
        put(store, "l")
        assert has(store, "l")

    with inside(store._exclusive):
        in_child(check)
    assert has(store, "k")


def test_threads_that_fork_at_the_same_time_let_each_other_go():
    store, failures = CachetoolsCacheStore(cachetools.LRUCache(10)), []
    put(store, "k")

    def fork():
        try:
            for _ in range(10):
                in_child(lambda: has(store, "k") or pytest.fail("it is not there"))
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * DEADLINE)
    assert not failures
    assert not _exclusive._held
    assert has(store, "k")


def test_what_is_queued_stays_queued_in_the_child():
    pending = Pending("ns:")
    pending.add(["k"], ["t"])

    def check():
        assert pending.doubts(Slot("k", ("ns:",), None))
        pending.add(["l"], [])
        assert pending.batch() == ({"k": 1, "l": 2}, {"t": 1})
        pending.done(*pending.batch())
        assert not pending

    with inside(pending._exclusive):
        in_child(check)


def test_a_cache_can_be_used_after_a_fork_at_any_instant():
    """In a process that nothing else watches: a tracer's own locks do not survive a fork either."""
    done = subprocess.run([sys.executable, "-m", "tests.cache.forking"], check=False, timeout=50)
    assert done.returncode == 0
