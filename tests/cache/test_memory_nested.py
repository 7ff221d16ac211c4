"""The memory store when the garbage collector runs a finaliser, which uses it, in the middle of a call."""

from __future__ import annotations

import gc
import random
import threading

import pytest

from scalekit.cache import Entry, MemoryCacheStore, Snapshot
from scalekit.cache._exclusive import Exclusive
from scalekit.testing._cache_probe import place
from tests.cache.test_memory import has, peek, put


@pytest.fixture
def store():
    return MemoryCacheStore()


@pytest.fixture
def index(store):
    index = {}
    for i in range(9):
        put(store, f"k{i}", "many")
    put(store, "k", "few", "many")
    store.pin("k", index, 1, (), 0.0)
    return index


@pytest.mark.parametrize(
    "end",
    [
        lambda store: store.invalidate(["few"]),
        lambda store: store.invalidate(["many"]),
        lambda store: store.delete(["k"]),
        lambda store: put(store, "k", value="new"),
    ],
)
def test_what_is_ended_inside_a_call_is_served_no_more(store, index, end):
    entry = index[1]
    snapshot = store.begin(place("k", "few", "many"), 0.0, False)
    with store._exclusive:
        end(store)
        # A wrapper, which takes no lock, must come and ask; and inside, nothing is found.
        assert entry.epoch is not store.epoch
        assert store.epoch is not None
        assert not store.renew(entry, 0.0)
        assert not has(store, "k")
        # The call it came into goes on, and marks what it was about to mark.
        store._entries.found(place("k"), 0.0, [])
        store._entries.write(place("l", "few"), Entry(1, expires=9.0), None, 0.0, None, [])
        assert all(node.epoch is not store.epoch for node in store._entries.nodes.values())
    assert not store.renew(entry, 0.0)
    assert not store.write(place("k"), Entry("old", expires=9.0), snapshot, 0.0)
    found = store.read(place("k"), 0.0)
    assert isinstance(found, Snapshot) or found.value == "new"
    peek(store)


def test_a_load_that_begins_inside_a_call_is_not_stored(store):
    with store._exclusive:
        snapshots = [
            store.read(place("k"), 0.0),
            store.begin(place("k"), 0.0, True),
            store.begin(place("k"), 0.0, False),
        ]
        assert len(set(snapshots)) == 3  # no flight is joined by means of these
        assert not store.write(place("k"), Entry(1, expires=9.0), snapshots[0], 0.0)
    for snapshot in snapshots:
        assert not store.write(place("k"), Entry(1, expires=9.0), snapshot, 0.0)


def test_a_reload_that_begins_inside_a_call_outdates_the_others(store):
    slot = place("k")
    first, second = store.begin(slot, 0.0, False), store.begin(slot, 0.0, False)
    with store._exclusive:
        store.begin(slot, 0.0, False)
        assert store._entries.write(slot, Entry(1, expires=9.0), first, 0.0, None, [])
        store.begin(slot, 0.0, True)
    assert not store.write(slot, Entry(2, expires=9.0), second, 0.0)


def test_nothing_is_pinned_inside_a_call(store):
    put(store, "k")
    index = {}
    with store._exclusive:
        store.pin("k", index, 1, (), 0.0)
    assert index == {}


def test_what_is_left_for_the_end_is_done_in_order(store):
    with store._exclusive:
        put(store, "k", "t", value=1)
        store.invalidate(["t"])
        put(store, "k", "t", value=2)
        put(store, "l", "t")
        store.delete(["l"])
    assert store.read(place("k"), 0.0).value == 2
    assert peek(store) == ["k"]


def test_it_stays_sound_whenever_the_collector_comes(store):
    """Not deterministic: a lock that merely lets its own thread in again is found out most of the time."""
    store = MemoryCacheStore(max_entries=3)
    rng = random.Random(5)
    nested = []

    def act():
        key, tag = f"k{rng.randrange(5)}", f"t{rng.randrange(2)}"
        return rng.choice(
            [
                lambda: put(store, key, tag, f"of:{key}", ttl=rng.choice([1, 9])),
                lambda: store.read(place(key, tag), 0.0),
                lambda: store.begin(place(key, tag), 0.0, True),
                lambda: store.delete([key]),
                lambda: store.invalidate([tag]),
            ]
        )()

    class Garbage:
        def __init__(self):
            self.itself = self

        def __del__(self):
            nested.append(store._exclusive._depth)
            if nested[-1] < 2:
                act()

    thresholds = gc.get_threshold()
    gc.collect()
    try:
        for _ in range(4_000):
            Garbage()
            gc.set_threshold(rng.randrange(1, 40))  # allocations from here to the finaliser
            act()
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert 1 in nested
    peek(store)
    assert len(store) <= 3


# -- Exclusive ----------------------------------------------------------------------------------------


def test_a_call_inside_another_learns_that():
    exclusive = Exclusive()
    with exclusive as alone:
        with exclusive as nested:
            assert (alone, nested) == (True, False)
        with exclusive as nested:
            assert not nested
    with exclusive as alone:
        assert alone


def test_another_thread_sees_what_was_left_for_the_end():
    exclusive = Exclusive()
    seen = []

    def look():
        with exclusive as alone:
            seen.append(alone)

    thread = threading.Thread(target=look)
    with exclusive:
        thread.start()
        exclusive.defer(lambda: seen.append("first"))
        exclusive.defer(lambda: exclusive.defer(lambda: seen.append("last")))
        with exclusive:
            exclusive.defer(lambda: seen.append("second"))
        assert seen == []
    thread.join()
    assert seen == ["first", "second", "last", True]


def test_a_call_that_fails_leaves_nothing_undone():
    exclusive = Exclusive()
    done = []

    def fail():
        with exclusive:
            exclusive.defer(lambda: done.append(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert done == [1]
    with exclusive as alone:
        assert alone
