"""What the memory store promises beyond the contract of stores: its bound, and what it frees."""

from __future__ import annotations

import gc
import math
import time
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Cache, Entry, IndexedCacheStore, MemoryCacheStore, _entries, _sieve
from scalekit.cache._carriers import Token, _unpacked
from scalekit.cache._node import Node
from scalekit.errors import ConfigurationError
from scalekit.testing._cache_probe import place


def put(store, key, *tags, value=None, now=0.0, ttl=100.0):
    store.write(place(key, *tags), Entry(value, expires=now + ttl), None, now)


def has(store, key, now=0.0):
    return isinstance(store.read(place(key), now), Entry)


def ring(entries):
    """The nodes as they hang in the ring, oldest first."""
    nodes, node = [], entries._sieve._ring.newer
    while node is not entries._sieve._ring:
        nodes.append(node)
        node = node.newer
    return nodes


def peek(store):
    """The keys, oldest first, once everything is found to be sound."""
    entries = store._entries
    nodes = ring(entries)
    assert [node.older for node in nodes[1:]] == nodes[:-1]
    assert {node.key: node for node in nodes} == entries.nodes
    assert len(nodes) == len(store)
    assert entries.bytes == sum(node.size for node in nodes)
    assert entries.epoch is store.epoch
    carried = {}
    for node in nodes:
        for name in [*_unpacked(node.names), *(tag.name for tag in node.tags if not tag.dead)]:
            carried.setdefault(name, []).append(node)
    assert list(carried.keys() ^ entries._carriers._tags.keys()) == []
    for name, nodes in carried.items():
        held = entries._carriers._tags[name]
        if isinstance(held, Token):
            assert held.carriers == len(nodes)
            assert all(held in node.tags for node in nodes)
        else:
            assert set(held if isinstance(held, tuple) else [held]) == set(nodes)
    return [node.key for node in ring(entries)]


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
    monkeypatch.setattr(_entries, "_SWEPT_PER_WRITE", 0)
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
    peek(store)
    entries = store._entries
    assert len(entries._carriers._tags) == 10
    assert len(entries._carriers._loads) == len(entries._loads) == 0


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


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "10"])
def test_a_bad_bound_of_bytes_is_refused(bad):
    with pytest.raises(ConfigurationError, match=r"expected max_bytes as an integer >= 1; got"):
        MemoryCacheStore(max_bytes=bad)


def test_a_size_without_a_bound_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"expected size_of together with max_bytes, which it is for"
    ):
        MemoryCacheStore(size_of=len)
    with pytest.raises(ConfigurationError, match=r"expected size_of as a callable"):
        MemoryCacheStore(max_bytes=1, size_of=8)


@pytest.mark.parametrize("bad", [-1, 1.5, True, None])
def test_a_size_that_is_none_is_refused(bad):
    store = MemoryCacheStore(max_bytes=9, size_of=lambda _: bad)
    with pytest.raises(ConfigurationError, match=r"expected size_of to return an integer >= 0; got"):
        put(store, "k")
    assert peek(store) == []


def test_it_never_counts_more_than_its_bytes():
    store = MemoryCacheStore(max_bytes=10, size_of=len)
    for i in range(20):
        put(store, str(i), value="x" * (i % 4))
        peek(store)
        assert store._entries.bytes <= 10
    for key in "abc":
        put(store, key, value="xxx")
        assert has(store, key)
    put(store, "d", value="x" * 7)
    assert peek(store) == ["c", "d"]
    put(store, "d", value="x")
    assert store._entries.bytes == 4
    store.delete(["c", "d"])
    assert store._entries.bytes == 0


def test_what_never_fits_is_not_kept_and_takes_the_old_value_away():
    store = MemoryCacheStore(max_bytes=10, size_of=len)
    put(store, "small", value="x")
    put(store, "big", value="old")
    snapshot = store.begin(place("big"), 0.0, True)
    assert not store.write(place("big"), Entry("x" * 11, expires=9.0), snapshot, 0.0)
    assert peek(store) == ["small"]
    put(store, "big", value="x" * 10)
    assert peek(store) == ["big"]


def test_what_never_fits_is_loaded_by_each_call_and_told_as_not_stored():
    told = []
    cache = Cache(MemoryCacheStore(max_bytes=10, size_of=len), on_event=told.append)

    @cache.cached(ttl=60)
    def load(n: int) -> str:
        return "x" * n

    assert [load(11), load(11), load(9), load(9)] == ["x" * 11] * 2 + ["x" * 9] * 2
    assert cache.stats().loads == 3
    assert [event.outcome for event in told if event.name == "load"] == ["outdated", "outdated", "ok"]


def test_sizes_are_asked_on_writes_alone():
    asked = []
    store = MemoryCacheStore(max_bytes=10, size_of=lambda value: asked.append(value) or 1)
    cache = Cache(store)

    @cache.cached(ttl=60)
    def load(n: int) -> int:
        return -n

    assert [load(1), load(1), load(1)] == [-1] * 3
    assert has(store, "cache:" + load.key(1), time.monotonic())
    assert asked == [-1]


def test_an_exception_that_is_kept_has_no_size():
    store = MemoryCacheStore(max_bytes=10, size_of=len)
    cache = Cache(store)

    @cache.cached(ttl=60, cache_exceptions=(KeyError,), exception_ttl=60)
    def load(n: int) -> str:
        raise KeyError(n)

    for _ in range(2):
        with pytest.raises(KeyError):
            load(1)
    assert (cache.stats().loads, store._entries.bytes) == (1, 0)


def test_by_default_bytes_are_those_of_the_value_and_its_key_and_of_the_entry():
    store = MemoryCacheStore(max_bytes=100_000)
    put(store, "k", value=[bytearray(10_000)] * 5)
    assert 10_000 < store._entries.bytes < 11_000
    for i in range(100):
        put(store, str(i), value=bytearray(10_000))
        assert store._entries.bytes <= 100_000
    assert len(store) == 9
    for i in range(1_000):
        put(store, str(i))
    assert 200 < len(store) < 300


def test_a_value_whose_end_uses_the_cache_does_not_deadlock():
    store = MemoryCacheStore(max_entries=1)

    class Value:
        def __del__(self):
            put(store, "from the grave")

    put(store, "a", value=Value())
    put(store, "b")
    assert peek(store) == ["from the grave"]


def test_an_index_follows_the_store():
    store = MemoryCacheStore(max_entries=20)
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
    for i in range(9):
        put(store, f"many{i}", "u")
    store.invalidate(["u"])
    assert entry.epoch is not store.epoch
    assert store.renew(entry, 0.0)
    assert entry.epoch is store.epoch
    assert not store.renew(entry, 100.0)
    store.invalidate(["t"])
    assert not store.renew(entry, 0.0)
    assert (other, entry.epoch) == ({}, None)
    put(store, "a")
    store.pin("a", other, 1, (int,), 0.0)
    entry = other[1]
    store.delete(["a"])
    assert (other, entry.epoch) == ({}, None)
    assert not store.renew(entry, 0.0)


@pytest.mark.parametrize("carriers", [0, 1, 2, 8])
def test_a_tag_of_few_entries_ends_them_and_disturbs_no_other(carriers):
    store = MemoryCacheStore()
    index = {}
    put(store, "other", "all")
    store.pin("other", index, 0, (), 0.0)
    for i in range(carriers):
        put(store, f"k{i}", "all", "t")
        store.pin(f"k{i}", index, i + 1, (), 0.0)
    epoch, (other, *ended) = store.epoch, index.values()
    store.invalidate(["t"])
    assert store.epoch is epoch
    assert other.epoch is epoch
    assert [entry.epoch for entry in ended] == [None] * carriers
    assert list(index.values()) == [other]
    assert peek(store) == ["other"]


def test_a_tag_of_many_entries_ends_them_with_one_operation(monkeypatch):
    store = MemoryCacheStore()
    index = {}
    for i in range(9):
        put(store, f"k{i}", "t")
        store.pin(f"k{i}", index, i, (), 0.0)
    monkeypatch.setattr(_entries.Entries, "_remove", None)  # nothing is walked
    store.invalidate(["t"])
    monkeypatch.undo()
    assert len(store) == 9
    for i, entry in index.copy().items():
        assert entry.epoch is not store.epoch
        assert not store.renew(entry, 0.0)
        assert not has(store, f"k{i}")
    assert peek(store) == []


def test_a_load_is_outdated_however_many_carry_its_tag():
    for carriers in range(12):
        for later in range(12):
            store = MemoryCacheStore()
            for i in range(carriers):
                put(store, f"k{i}", "t")
            snapshot = store.read(place("load", "t"), 0.0)
            for i in range(carriers, later):
                put(store, f"k{i}", "t")
            for i in range(later):
                store.delete([f"k{i}"])
            assert snapshot == store.begin(place("load", "t"), 0.0, False)
            store.invalidate(["t"])
            assert not store.write(place("load", "t"), Entry(1, expires=9.0), snapshot, 0.0)
            peek(store)


def test_a_tag_named_twice_counts_once():
    store = MemoryCacheStore()
    for i in range(12):
        put(store, str(i), "t", "u", "t")
    store.invalidate(["t", "t"])
    assert not any(has(store, str(i)) for i in range(12))
    peek(store)


def test_a_replaced_entry_leaves_a_place_that_another_has_taken():
    store = MemoryCacheStore()
    index = {}
    put(store, "a")
    put(store, "b")
    store.pin("a", index, 1, (), 0.0)
    store.pin("b", index, 1, (), 0.0)
    store.delete(["a"])
    assert index[1] is store._entries.nodes["b"]


def test_entries_share_what_is_the_same_for_all():
    store = MemoryCacheStore()
    index = {}
    for i in range(30):
        put(store, str(i), "own", f"of:{i}", f"area:{i % 2}", "all")
        store.pin(str(i), index, i, (int,) * 2, 0.0)
    nodes = list(index.values())[20:]
    assert len({id(node.tags) for node in nodes}) == 2
    assert len({id(node.kinds) for node in nodes}) == 1
    assert all(type(node) is Node for node in nodes)


@pytest.mark.parametrize(
    "times", [{}, {"fresh_until": 3.0}, {"load_seconds": 0.25}, {"fresh_until": 3.0, "load_seconds": 0.25}]
)
def test_what_was_written_comes_back_whole(times):
    store = MemoryCacheStore()
    written = Entry("value", expires=9.0, **times)
    store.write(place("k"), written, None, 0.0)
    found = store.read(place("k"), 8.0)
    names = Entry.__slots__
    assert [getattr(found, name) for name in names] == [getattr(written, name) for name in names]
    assert not has(store, "k", 9.0)


def test_a_wrapper_asks_when_the_lead_begins():
    store = MemoryCacheStore()
    index = {}
    store.write(place("k"), Entry(1, expires=9.0, fresh_until=8.0, load_seconds=0.5), None, 0.0)
    for lead, due in ((0.0, 8.0), (4.0, 6.0), (0.0, 8.0)):
        store.pin("k", index, 1, (), lead)
        assert index[1].due == due
    store.write(place("k"), Entry(1, expires=9.0, fresh_until=10.0), None, 0.0)
    store.pin("k", index, 1, (), 4.0)
    assert index[1].due == 9.0


@pytest.mark.parametrize("fresh_until", [9.0, 8.0])
def test_a_wrapper_asks_always_when_it_is_due_at_once(fresh_until):
    store = MemoryCacheStore()
    index = {}
    store.write(place("k"), Entry(1, expires=9.0, fresh_until=fresh_until), None, 0.0)
    store.pin("k", index, 1, (), 0.0)
    store.pin("k", index, 1, (), math.inf)
    assert 1 not in index or index[1].due == -math.inf
    assert store.read(place("k"), 0.0).expires == 9.0
    store.pin("k", index, 1, (), 0.0)
    assert index[1].due == fresh_until


def test_one_write_never_walks_far(monkeypatch):
    monkeypatch.setattr(_sieve, "_LONGEST_WALK", 10)
    store = MemoryCacheStore(max_entries=100)
    for i in range(100):
        put(store, str(i))
        assert has(store, str(i))
    looked = []
    alive = Node.alive
    monkeypatch.setattr(Node, "alive", lambda self, now: looked.append(self) or alive(self, now))
    for i in range(12):
        looked.clear()
        put(store, f"new{i}")
        assert len(looked) <= 10 + 2  # and the sweep
    assert len(store) == 100
    # It has cleared the way for the writes to come.
    assert not any(node.visited for node in ring(store._entries))


STEPS = st.lists(st.tuples(st.sampled_from("wwrdit"), st.integers(0, 5)), max_size=60)


@given(STEPS, st.integers(1, 4), st.sampled_from([None, 25]))
def test_it_stays_sound(steps, bound, most):
    store = MemoryCacheStore(max_entries=bound, max_bytes=most, size_of=most and (lambda n: n))
    now = 0.0
    for what, n in steps:
        if what == "w":
            put(store, str(n), f"t{n % 2}", value=n * 6, now=now, ttl=3)
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
        assert most is None or store._entries.bytes <= most
