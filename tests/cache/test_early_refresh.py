"""XFetch through the faces: chance decides, a hit is a hit, and an index asks only near the end."""

from __future__ import annotations

import math

import pytest

from scalekit.cache import (
    Entry,
    MemoryCacheStore,
    _async_read_many,
    _async_read_through,
    _read_many,
    _read_through,
)
from scalekit.testing import Gate, ManualClock
from tests.cache.either import Source
from tests.cache.leasing import Cluster


class Dice:
    """The chance that all draws get, and how many there were."""

    def __init__(self, monkeypatch):
        self.value = 1.0
        self.draws = 0
        for module in (_read_through, _async_read_through, _read_many, _async_read_many):
            monkeypatch.setattr(module, "chance", self)

    def __call__(self):
        self.draws += 1
        return self.value


@pytest.fixture
def dice(monkeypatch):
    return Dice(monkeypatch)


@pytest.fixture
def clock():
    return ManualClock()


def costly(clock, seconds=1):
    return Source(cost=lambda: clock.advance(seconds))


@pytest.mark.parametrize("watched", [False, True], ids=["indexed", "asked"])
def test_the_threshold_is_that_of_the_paper(either, clock, dice, watched):
    face, source = either(clock=clock, watched=watched), costly(clock)
    find = face.cached(source, ttl=100, early_refresh=2.0)
    face(find, 7)
    clock.advance(97)  # 3 s are left, and the load took 1
    dice.value = math.exp(-3 / 2) * 1.001
    assert face(find, 7) == "7 v1"
    face.settle()
    assert source.runs == 1
    dice.value = math.exp(-3 / 2) * 0.999
    assert face(find, 7) == "7 v1", "nobody waits for it"
    face.settle()
    assert source.runs == 2
    assert face(find, 7) == "7 v2"
    assert face.stats() == (3, 1, 0, 2, 0, 0, 0), "and it is a hit, not a stale one"


def test_an_index_asks_chance_only_from_20_load_times_before_the_end(either, clock, dice):
    face, source = either(clock=clock), costly(clock)
    find = face.cached(source, ttl=100, early_refresh=2.0)
    face(find, 7)
    before = dice.draws
    clock.advance(59.9)
    for _ in range(3):
        face(find, 7)
    assert dice.draws == before
    clock.advance(0.2)
    for _ in range(3):
        face(find, 7)
    assert dice.draws == before + 3
    assert face.stats().hits == 6


def test_without_early_refresh_chance_is_not_asked(either, clock, dice):
    face, source = either(clock=clock, watched=True), costly(clock)
    find, many = face.cached(source, ttl=10), face.cached_many(dict.fromkeys, ttl=10)
    for _ in range(3):
        face(find, 7), face(many, [1])
        clock.advance(4)
    assert dice.draws == 0


def test_one_reload_runs_however_many_reads_ask_for_it(either, clock, dice):
    face, source = either(clock=clock), costly(clock)
    find = face.cached(source, ttl=100, early_refresh=1.0)
    face(find, 7)
    clock.advance(99)
    dice.value = 1e-6
    source.gate = Gate()
    assert {face(find, 7) for _ in range(5)} == {"7 v1"}
    source.gate.wait_for_callers(1)
    assert {face(find, 7) for _ in range(5)} == {"7 v1"}
    source.gate.release()
    face.settle()
    assert source.runs == 2


def test_a_failed_early_reload_is_held_off_and_harms_nobody(either, clock, dice):
    face, source = either(clock=clock), costly(clock, 0.1)
    find = face.cached(source, ttl=100, early_refresh=50.0)
    face(find, 7)
    clock.advance(97)
    dice.value, source.error = 1e-6, OSError("gone")
    for _ in range(3):
        assert face(find, 7) == "7 v1"
        face.settle()
    assert source.runs == 2
    clock.advance(1)
    face(find, 7)
    face.settle()
    assert source.runs == 3
    assert face.stats().stale_hits == 0


def test_items_are_refreshed_early_too(either, clock, dice):
    face, asked = either(clock=clock), []

    def load(ids):
        asked.append(list(ids))
        clock.advance(1)
        return {id_: f"{id_} v{len(asked)}" for id_ in ids}

    find = face.cached_many(load, ttl=100, early_refresh=1.0)
    face(find, [1, 2])
    clock.advance(99)
    dice.value = 1e-6
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    face.settle()
    assert asked == [[1, 2], [1, 2]]


def test_of_a_cluster_one_process_refreshes_early(either, kind, clock, dice):
    cluster = Cluster(either, kind, clock)
    source = costly(clock)
    one, other = [
        (face, face.cached(source, ttl=100, early_refresh=1.0, lock="cluster")) for face in cluster.faces
    ]
    one[0](one[1], 7)
    clock.advance(99)
    dice.value = 1e-6
    source.gate = Gate()
    for face, find in (one, other):
        assert face(find, 7) == "7 v1"
    source.gate.wait_for_callers(1)
    (idle,) = [face for face in cluster.faces if not face.cache._reads.elections._held]
    idle.settle()
    source.gate.release()
    for face in cluster.faces:
        face.settle()
    assert source.runs == 2, "the one whose lease it is"
    dice.value = 1e-3  # too little for what is new, while another that drew it for the old one comes too late
    for face, find in (one, other):
        assert face(find, 7) == "7 v2"
        face.settle()
    assert source.runs == 2


class Overtaken(MemoryCacheStore):
    """When a reload begins, another process has just written, and given its lease back."""

    __slots__ = ()

    def begin(self, slot, now, outdate, /):
        self.write(slot, Entry("from the other", expires=now + 100, load_seconds=1.0), None, now)
        return super().begin(slot, now, outdate)


def test_who_comes_to_a_lease_late_finds_the_new_value_and_leaves_it(either, kind, clock, dice):
    cluster = Cluster(either, kind, clock, count=1, entries=Overtaken())
    (face,), source = cluster.faces, costly(clock)
    find = face.cached(source, ttl=100, early_refresh=1.0, lock="cluster")
    face(find, 7)
    clock.advance(99)
    dice.value = 1e-6
    assert face(find, 7) == "7 v1"
    face.settle()
    assert face(find, 7) == "from the other"
    assert source.runs == 1
    assert not cluster.leases.held
