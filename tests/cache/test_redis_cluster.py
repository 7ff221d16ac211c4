"""The Redis stores on a cluster: what they send where, dead masters, failover, slots on the move."""

from __future__ import annotations

import time
from itertools import count

import pytest

from scalekit.cache import Entry, Snapshot, _frame
from scalekit.cache._frame import entry_name, load_name, tag_name
from scalekit.errors import BackendError
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver
from tests.cache.redis_calls import NOW, SLOT, opened
from tests.cache.redis_store_tests import StoreTests
from tests.servers.lifeline import wait_until
from tests.servers.redis import RedisError

SLACK = 0.02


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def calls(kind, redis_cluster, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    with Driver() as driver:
        calls = opened(driver, kind, redis_cluster.url, cluster=True)
        yield calls
        calls.close()


class TestCluster(StoreTests):
    pass


def place_on(cluster, *masters):
    """Return a slot of its own whose entry lies on the first of `masters`, and its tags on the others."""

    def named(name_of, master):
        while cluster.master_of(name_of(name := f"shop:{next(_numbers)}").decode()) is not master:
            pass
        return name

    key, *tags = [named(tag_name if i else entry_name, master) for i, master in enumerate(masters)]
    return place(key, *tags)


_numbers = count()


def timed(call, *args):
    began = time.perf_counter()
    try:
        outcome = call(*args)
    except BackendError as error:
        outcome = error
    return time.perf_counter() - began, outcome


# -- round trips --------------------------------------------------------------------------------------


def test_round_trips(calls):
    slot = place("shop:new", "shop:", "shop:a", "shop:b")
    assert calls.took("missed", slot) == [["GET"] * 4, ["SET"] * 4 + ["GET"] * 4]
    assert calls.took("missed", slot) == [["GET"] * 4, ["SET", "GET"]]
    calls.put(1, slot=slot)  # the nodes may not know the scripts yet
    for snapshot in (None, calls.begin(slot, NOW, False)):
        entry = Entry(1, expires=NOW + 9)
        assert calls.took("write", slot, entry, snapshot, NOW) == [["EVALSHA"] * 3, ["EVALSHA"]]
    assert calls.took("value", slot) == [["GET"] * 4]
    assert calls.took("value", place(slot.key, "shop:")) == [["GET"] * 2, ["GET"] * 2]
    assert calls.took("begin", slot, NOW, True) == [["SET"] * 4 + ["GET"] * 4]
    assert calls.took("delete", ["shop:new", "shop:other"]) == [["UNLINK"] * 2]
    assert calls.took("invalidate", ["shop:a", "shop:b"]) == [["UNLINK"] * 2]
    assert calls.took("delete", []) == calls.took("invalidate", []) == []


def test_a_batch_takes_as_many_round_trips_as_one(calls):
    slots = [place(f"shop:{i}", "shop:", f"shop:t{i}") for i in range(20)]
    assert calls.took("read_many", slots, NOW) == [["GET"] * 41, ["SET"] * 41 + ["GET"] * 41]
    writes = [(slot, Entry(1, expires=NOW + 9), calls.missed(slot)) for slot in slots]
    calls.write_many(writes, NOW)
    assert calls.took("write_many", writes, NOW) == [["EVALSHA"] * 21, ["EVALSHA"] * 20]
    assert calls.took("read_many", slots, NOW) == [["GET"] * 41]
    assert calls.took("begin_many", slots, NOW, True) == [["SET"] * 41 + ["GET"] * 41]
    begun = calls.begin_many(slots, NOW, False)
    assert begun == [calls.begin(slot, NOW, False) for slot in slots]
    assert all(
        calls.write_many(
            [(slot, Entry(2, expires=NOW + 9), seen) for slot, seen in zip(slots, begun, strict=True)], NOW
        )
    )


def test_scripts_that_one_node_forgot_are_sent_again(calls, redis_cluster):
    a, b, c = redis_cluster.masters
    slot = place_on(redis_cluster, a, b, c)
    for master in (a, b):
        calls.put(1, slot=slot)
        master.cmd("SCRIPT", "FLUSH")
        snapshot = calls.begin(slot, NOW, False)
        assert calls.put(2, slot=slot, snapshot=snapshot)
        assert calls.value(slot) == 2


def test_a_tag_invalidated_between_the_two_steps_of_a_write_leaves_a_dead_entry(calls, monkeypatch):
    calls.put("for the nodes to know the scripts")
    calls.delete([SLOT.key])
    snapshot = calls.missed()
    pipeline = calls.link.pipeline
    steps = []

    def interrupted(commands):
        steps.append(commands[0][0])
        if len(steps) == 2:
            calls.client.unlink(tag_name("shop:t"))
        return pipeline(commands)

    monkeypatch.setattr(calls.link, "pipeline", interrupted)
    calls.put("stale", snapshot=snapshot)
    assert steps == ["EVALSHA"] * 2
    monkeypatch.setattr(calls.link, "pipeline", pipeline)
    calls.missed()


# -- faults -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_a_master_that_is_down_fails_alone(kind, redis_cluster, key_prefix, monkeypatch, harm):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    dead, *alive = redis_cluster.masters
    well = place_on(redis_cluster, alive[0], alive[1], alive[0])
    lost_tag = place_on(redis_cluster, alive[0], alive[1], dead)
    lost_entry = place_on(redis_cluster, dead, alive[0])
    with Driver() as driver:
        calls = opened(driver, kind, redis_cluster.url, cluster=True, timeout="200ms", breaker_failures=10**6)
        for slot in (well, lost_tag, lost_entry):
            wait_until(lambda slot=slot: timed(lambda: calls.put("v", slot=slot))[1] is True, "it is written")
        getattr(dead, harm)()
        for slot in (lost_tag, lost_entry):
            seconds, outcome = min(timed(calls.read, slot, NOW) for _ in range(3))
            assert isinstance(outcome, BackendError)
            assert seconds <= 0.2 + SLACK
            with pytest.raises(BackendError):
                calls.read_many([well, slot], NOW)
        wait_until(lambda: timed(calls.value, well)[1] == "v", "the others go on", timeout=5)
        # What can be done is done, and what cannot is said.
        wait_until(lambda: timed(calls.begin, well, NOW, False)[1] is not None, "it answers")
        with pytest.raises(BackendError):
            calls.invalidate([lost_tag.tags[1], well.tags[1]])
        wait_until(lambda: isinstance(timed(calls.read, well, NOW)[1], Snapshot), "that tag was invalidated")
        wait_until(lambda: timed(lambda: calls.put("v", slot=well))[1] is True, "written again")
        with pytest.raises(BackendError):
            calls.delete([lost_entry.key, well.key])
        wait_until(lambda: isinstance(timed(calls.read, well, NOW)[1], Snapshot), "that key was deleted")
        redis_cluster.restore()
        wait_until(lambda: not isinstance(timed(calls.read, lost_entry, NOW)[1], Exception), "all is well")
        calls.close()


@pytest.mark.slow
def test_a_promoted_replica_serves_and_keeps_the_promises(new_cluster):
    cluster = new_cluster(masters=3, replicas=1)
    with Driver() as driver:
        every = [
            opened(driver, kind, cluster.url, cluster=True, timeout="500ms", breaker_reset="50ms")
            for kind in ("sync", "async")
        ]
        victim = cluster.masters[0]
        slot = place_on(cluster, victim, victim, cluster.masters[1])
        for calls in every:
            wait_until(
                lambda calls=calls: timed(lambda: calls.put("v", slot=slot))[1] is True, "it is written"
            )
        wait_until(lambda: victim.cmd("WAIT", 1, 1_000) == 1, "the replica has it")
        victim.kill()
        for calls in every:
            wait_until(lambda calls=calls: timed(calls.value, slot)[1] == "v", "the replica serves")
        for calls in every:
            snapshot = calls.begin(slot, NOW, False)
            calls.invalidate([slot.tags[0]])
            for other in every:
                other.missed(slot)
            assert not calls.put("stale", slot=slot, snapshot=snapshot)
            assert calls.put("new", slot=slot, snapshot=calls.missed(slot))
        for calls in every:
            assert calls.value(slot) == "new"
            calls.close()


@pytest.fixture
def move_of(redis_cluster):
    """Return what moves the slot of a name; the slots come home in the end."""
    moves = []

    def move_of(name):
        moves.append(redis_cluster.move_of(name.decode()))
        return moves[-1]

    yield move_of
    redis_cluster.flush()
    for move in moves:
        move.undo()


def test_slots_on_the_move(calls, move_of):
    """Whatever has moved already, reads, deletions and invalidations work, and what is stored is right."""
    entry, load, tag = entry_name(SLOT.key), load_name(SLOT.key), tag_name(SLOT.tags[1])
    calls.put("old")
    move, move_of_tag = move_of(entry), move_of(tag)
    move.begin()
    move_of_tag.begin()
    for each, name in ((move, load), (move, entry), (move_of_tag, tag)):
        assert calls.value() == "old"
        snapshot = calls.begin(SLOT, NOW, False)
        # A script that needs two keys may have to wait until both are in one place.
        _, stored = timed(lambda snapshot=snapshot: calls.put("old", snapshot=snapshot))
        assert stored is True or "TRYAGAIN" in str(stored).upper()
        each.take(name)
    assert calls.value() == "old"
    assert calls.put("new", snapshot=calls.begin(SLOT, NOW, False))
    move.end()
    move_of_tag.end()
    assert calls.value() == "new"
    calls.invalidate([SLOT.tags[1]])
    assert calls.put("newer", snapshot=calls.missed())
    calls.delete([SLOT.key])
    calls.missed()


@pytest.mark.parametrize("first", [entry_name, load_name])
def test_a_deletion_while_a_slot_moves_outdates_the_loads_that_run(calls, move_of, first):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, False)
    move = move_of(entry_name(SLOT.key))
    move.begin()
    move.take(first(SLOT.key))
    calls.delete([SLOT.key])
    assert not isinstance(calls.read(SLOT, NOW), Entry)
    move.end()
    assert not calls.put("stale", snapshot=snapshot)
    calls.missed()


def test_an_invalidation_while_a_tag_moves(calls, move_of):
    tag = tag_name(SLOT.tags[1])
    calls.put("old")
    move = move_of(tag)
    move.begin()
    calls.invalidate([SLOT.tags[1]])
    calls.missed()
    move.take(tag)
    assert calls.put("new", snapshot=calls.missed())
    calls.invalidate([SLOT.tags[1]])
    move.end()
    calls.missed()


@pytest.mark.slow
def test_a_replica_is_never_asked(new_cluster):
    cluster = new_cluster(masters=1, replicas=1)
    with Driver() as driver:
        for kind in ("sync", "async"):
            calls = opened(driver, kind, cluster.url, cluster=True)
            wait_until(lambda calls=calls: timed(calls.put, "v")[1] is True, "it is written")
            cluster.replicas[0].cmd("CONFIG", "RESETSTAT")
            for _ in range(20):
                calls.value()
            assert not {"get", "mget"} & cluster.replicas[0].calls().keys()
            with pytest.raises(RedisError, match="MOVED"):
                cluster.replicas[0].cmd("GET", entry_name(SLOT.key))
            calls.close()
