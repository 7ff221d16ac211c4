"""What the memory store promises beyond the contract of stores: its bound, and what it frees."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Entry, IndexedCacheStore, MemoryCacheStore, memory
from scalekit.errors import ConfigurationError
from scalekit.testing._cache_probe import place


def put(store, key, *tags, value=None, now=0.0, ttl=100.0):
    store.write(place(key, *tags), Entry(value, expires=now + ttl), None, now)


def has(store, key, now=0.0):
    return isinstance(store.read(place(key), now), Entry)


def peek(store):
    """The keys in the ring, oldest first, and whether it is sound."""
    keys = []
    node = store._ring.newer
    while node is not store._ring:
        assert node.newer.older is node
        assert store._nodes[node.key] is node
        keys.append(node.key)
        node = node.newer
    assert len(keys) == len(store)
    return keys


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "10", None])
def test_a_bad_bound_is_refused(bad):
    with pytest.raises(ConfigurationError, match=r"expected max_entries as an integer >= 1; got"):
        MemoryCacheStore(max_entries=bad)


def test_it_never_holds_more_than_its_bound():
    store = MemoryCacheStore(max_entries=3)
    for i in range(20):
        put(store, str(i))
        assert len(store) <= 3
    assert peek(store) == ["17", "18", "19"]


def test_what_was_read_outlives_what_was_not():
    store = MemoryCacheStore(max_entries=3)
    for key in "abc":
        put(store, key)
    assert has(store, "a")
    put(store, "d")
    assert peek(store) == ["a", "c", "d"]
    put(store, "e")
    put(store, "f")
    assert has(store, "a")


def test_when_everything_was_read_the_oldest_leaves():
    store = MemoryCacheStore(max_entries=3)
    for key in "abc":
        put(store, key)
        assert has(store, key)
    put(store, "d")
    assert peek(store) == ["b", "c", "d"]


def test_a_scan_does_not_wash_out_what_is_used():
    store = MemoryCacheStore(max_entries=50)
    for i in range(10):
        put(store, f"hot{i}")
    for i in range(1_000):
        assert has(store, f"hot{i % 10}")
        put(store, f"scan{i}")
    assert sum(has(store, f"hot{i}") for i in range(10)) == 10


def test_the_dead_leave_first_even_if_they_were_read():
    store = MemoryCacheStore(max_entries=3)
    put(store, "expired", ttl=1)
    assert has(store, "expired")
    put(store, "tagged", "t")
    assert has(store, "tagged")
    put(store, "living")
    store.invalidate(["t"])
    put(store, "new", now=1)
    put(store, "newer", now=1)
    assert peek(store) == ["living", "new", "newer"]


def test_the_hand_gives_the_dead_no_second_chance(monkeypatch):
    monkeypatch.setattr(memory, "_SWEPT_PER_WRITE", 0)
    store = MemoryCacheStore(max_entries=2)
    put(store, "dead", ttl=1)
    put(store, "living")
    assert has(store, "dead")
    put(store, "new", now=1)
    assert peek(store) == ["living", "new"]


def test_writes_sweep_out_what_is_dead():
    store = MemoryCacheStore()
    for i in range(100):
        put(store, f"short{i}", ttl=1)
    for i in range(100):
        put(store, f"tagged{i}", "t", ttl=100)
    store.invalidate(["t"])
    for i in range(201):
        put(store, f"new{i}", now=2.0)
    assert len(store) == 201


def test_the_bound_is_that_of_living_entries_when_one_is_replaced():
    store = MemoryCacheStore(max_entries=2)
    put(store, "a")
    put(store, "b")
    put(store, "b")
    assert peek(store) == ["a", "b"]


def test_memory_for_tags_is_bounded_by_the_entries_that_carry_them():
    store = MemoryCacheStore(max_entries=10)
    for i in range(1_000):
        put(store, str(i), f"tag{i}")
        store.read(place(f"missing{i}", f"seen{i}"), 0.0)
        store.invalidate([f"never{i}"])
        store.delete([f"never{i}"])
        store.begin(place(f"begun{i}", f"seen{i}"), 0.0, True)
    gc.collect()
    assert len(store._tags) == 10
    assert len(store._loads) == 0


def test_a_removed_value_is_freed_at_once():
    class Value:
        pass

    gc.disable()
    try:
        store = MemoryCacheStore(max_entries=2)
        index = {}
        seen = []
        for key in "abcd":
            value = Value()
            seen.append(ref(value))
            put(store, key, value=value)
            del value
            store.pin(key, index, key, (), 0.0)
        assert [r() is None for r in seen] == [True, True, False, False]
        store.delete(["c"])
        assert seen[2]() is None
        assert list(index) == ["d"]
    finally:
        gc.enable()


def test_a_value_whose_end_uses_the_cache_does_not_deadlock():
    store = MemoryCacheStore(max_entries=1)

    class Value:
        def __del__(self):
            put(store, "from the grave")

    put(store, "a", value=Value())
    put(store, "b")
    assert len(store) <= 2
    peek(store)


def test_an_index_follows_the_store():
    store = MemoryCacheStore(max_entries=2)
    assert isinstance(store, IndexedCacheStore)
    index = {}
    put(store, "a", "t")
    store.pin("a", index, 1, (int,), 0.0)
    store.pin("missing", index, 2, (int,), 0.0)
    (entry,) = index.values()
    assert (entry.kinds, entry.epoch is store.epoch) == ((int,), True)
    other = {}
    store.pin("a", other, 1, (int,), 0.0)
    assert (index, other) == ({}, {1: entry})
    store.invalidate(["nobody carries it"])
    assert entry.epoch is store.epoch
    put(store, "b", "u")
    store.invalidate(["u"])
    assert entry.epoch is not store.epoch
    assert store.renew(entry, 0.0)
    assert entry.epoch is store.epoch
    assert not store.renew(entry, 100.0)
    store.invalidate(["t"])
    assert not store.renew(entry, 0.0)
    store.delete(["a"])
    assert (other, entry.epoch) == ({}, None)
    assert not store.renew(entry, 0.0)


def test_a_replaced_entry_leaves_a_place_that_another_has_taken():
    store = MemoryCacheStore()
    index = {}
    put(store, "a")
    put(store, "b")
    store.pin("a", index, 1, (), 0.0)
    store.pin("b", index, 1, (), 0.0)
    store.delete(["a"])
    assert index[1] is store._nodes["b"]


STEPS = st.lists(st.tuples(st.sampled_from("wrdit"), st.integers(0, 5)), max_size=60)


@given(STEPS, st.integers(1, 4))
def test_the_ring_stays_sound(steps, bound):
    store = MemoryCacheStore(max_entries=bound)
    now = 0.0
    for what, n in steps:
        if what == "w":
            put(store, str(n), f"t{n % 2}", now=now, ttl=3)
        elif what == "r":
            has(store, str(n), now)
        elif what == "d":
            store.delete([str(n)])
        elif what == "i":
            store.invalidate([f"t{n % 2}"])
        else:
            now += 1
        peek(store)
        assert len(store) <= bound
