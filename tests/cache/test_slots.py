"""What a store is told of a call: key, tags, serializer, and whether its near tier may answer."""

from __future__ import annotations

import pytest

from scalekit.cache import MemoryCacheStore, MsgspecSerializer
from tests.cache.either import Source


class Told(MemoryCacheStore):
    """Writes down the slots it is asked for."""

    __slots__ = ("entries", "slots")

    def __init__(self):
        super().__init__()
        self.slots = []
        self.entries = []

    def read(self, slot, now, /):
        self.slots.append(("read", slot))
        return super().read(slot, now)

    def write(self, slot, entry, snapshot, now, /):
        self.slots.append(("write", slot))
        self.entries.append(entry)
        return super().write(slot, entry, snapshot, now)

    def begin(self, slot, now, outdate, /):
        self.slots.append(("begin", slot))
        return super().begin(slot, now, outdate)


@pytest.fixture
def store():
    return Told()


def test_l1_is_told_for_every_operation_and_never_answered_from_an_index(either, store):
    face = either(store)
    find = face.cached(Source(), ttl=60, l1=False)
    many = face.cached_many(dict.fromkeys, ttl=60, l1=False)
    face(find, 7), face(find, 7), face(find.refresh, 7), face(many, [1]), face(many.refresh, 1)
    told = ["read", "write", "read", "begin", "write", "read", "write", "begin", "write"]
    assert [name for name, _ in store.slots] == told
    assert {slot.l1 for _, slot in store.slots} == {False}
    near = face.cached(Source(), ttl=60, version=2)
    store.slots.clear()
    face(near, 7), face(near, 7), face(near, 7)
    assert [(name, slot.l1) for name, slot in store.slots] == [("read", True), ("write", True)]


def test_a_serializer_is_told_for_the_function_and_for_its_keys(either, store):
    serializer = MsgspecSerializer(str)
    face = either(store)
    find = face.cached(Source(), ttl=60, serializer=serializer)
    many = face.cached_many(dict.fromkeys, ttl=60, serializer=serializer)
    face(find, 7), face(face.cache.get, find.key(7)), face(face.cache.set, find.key(8), "x", ttl=1)
    face(many, [1]), face(face.cache.get, many.key(1))
    assert {slot.serializer for _, slot in store.slots} == {serializer}
    store.slots.clear()
    face(face.cache.get, "plain")
    assert store.slots[0][1].serializer is not serializer


def test_a_version_is_in_the_key(either, store):
    face = either(store)
    keys = [face.cached(Source(), ttl=60, version=version).key(7) for version in (1, 2, "a")]
    assert [key.partition("@")[2] for key in keys] == ["1(x=7)", "2(x=7)", "a(x=7)"]


def test_names_have_the_namespace_in_front_and_its_tag_comes_first(either, store):
    face = either(store, namespace="shop:eu")
    find = face.cached(Source(), ttl=60, tags=["a:{x}", "b", "a:{x}"])
    many = face.cached_many(dict.fromkeys, ttl=60, tags=["item:{id}"])
    face(find, 7), face(many, [1]), face(face.cache.get, "k")
    slots = [slot for name, slot in store.slots if name == "read"]
    assert [slot.key for slot in slots] == [f"shop%3Aeu:{key}" for key in (find.key(7), many.key(1), "k")]
    assert [slot.tags for slot in slots] == [
        ("shop%3Aeu:", "shop%3Aeu:a:7", "shop%3Aeu:b"),
        ("shop%3Aeu:", "shop%3Aeu:item:1"),
        ("shop%3Aeu:",),
    ]


def test_set_places_its_lifetime_at_random_too(either, store):
    face = either(store)
    for number in range(40):
        face(face.cache.set, str(number), "v", ttl=100, jitter=0.5)
        face(face.cache.get_or_set, f"g{number}", face.plain(lambda: "v"), ttl=100, jitter=0.5)
    ends = [entry.expires - face.clock() for entry in store.entries]
    assert len(ends) == 80
    assert all(50 <= end <= 100 for end in ends)
    assert len(set(ends)) > 60
    face(face.cache.set, "exact", "v", ttl=100)
    assert store.entries[-1].expires - face.clock() == 100
