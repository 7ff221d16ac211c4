"""The leases of the SQL stores beyond the contract: rows, clocks, pauses, and the processes of a fleet."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from sqlalchemy.pool import NullPool

from scalekit.cache import AsyncCache, AsyncLeasingCacheStore, Cache, LeasingCacheStore
from scalekit.cache.sqlalchemy import _async, _leases, _operations, _sync
from scalekit.cache.sqlalchemy._record import lease_name
from tests.cache.sqlalchemy import elected
from tests.cache.sqlalchemy.conftest import SLOT, loses, new_world
from tests.servers.lifeline import wait_until

KEY = "shop:k"


def checked_out(engine):
    """Connections in use. A NullPool, SQLAlchemy 2.0's for aiosqlite, keeps none and does not count."""
    return 0 if isinstance(engine.pool, NullPool) else engine.pool.checkedout()


def kept(world):
    """Return the rows of leases: name, owner, end."""
    rows = world.sql("SELECT name, token, kept FROM TABLE_ WHERE name >= :l AND name < :m", l=b"l", m=b"m")
    return [(bytes(name), bytes(token), ends) for name, token, ends in rows]


# -- rows ---------------------------------------------------------------------------------------------


def test_leases_are_offered(world):
    assert isinstance(world.store, AsyncLeasingCacheStore if world.is_async else LeasingCacheStore)


def test_a_lease_is_one_row_and_each_call_one_statement(world):
    world.call("create_all")
    assert world.took("acquire", KEY, b"one", 30.0) == ["INSERT"]
    assert world.took("acquire", KEY, b"two", 30.0) == ["INSERT"]
    assert kept(world) == [(lease_name(KEY), b"one", round(world.clock() * 1_000) + 30_000)]
    assert world.took("release", KEY, b"two") == ["DELETE"]
    assert world.rows() == 1
    assert world.took("release", KEY, b"one") == ["DELETE"]
    assert world.rows() == 0
    assert world.took("wait", KEY, 10.0) == ["SELECT"]
    assert world.took("wait", KEY, 0.0) == []


def test_a_lease_makes_the_table_that_is_missed(world):
    assert world.call("acquire", KEY, b"one", 30.0) is True
    assert world.rows() == 1


def test_a_lease_ends_at_its_millisecond(world):
    assert world.call("acquire", KEY, b"one", 1.5)
    world.clock.advance(1.0)
    assert world.call("acquire", KEY, b"one", 1.5), "renewed"
    world.clock.advance(1.499)
    assert not world.call("acquire", KEY, b"two", 1.5)
    world.clock.advance(0.001)
    assert world.call("acquire", KEY, b"two", 1.5)
    assert not world.call("acquire", KEY, b"one", 1.5), "its former owner has lost it"


@pytest.mark.parametrize("kind", ["psycopg", "async psycopg", "asyncpg"])
def test_a_server_judges_leases_by_its_own_clock(world):
    world.store = world.new_store(wall_clock=None)
    assert world.call("acquire", KEY, b"one", 3_600.0)
    [(now,)] = world.sql("SELECT CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT)")
    [(_, _, ends)] = kept(world)
    assert abs(ends - now - 3_600_000) < 60_000
    world.sql("UPDATE TABLE_ SET kept = kept - 3600000")
    assert world.call("acquire", KEY, b"two", 3_600.0)


def test_the_clean_up_takes_leases_that_have_ended(world, monkeypatch):
    for i in range(4):
        assert world.call("acquire", f"short{i}", b"one", 10.0)
        assert world.call("acquire", f"long{i}", b"one", 1_000.0)
    world.clock.advance(10)
    assert world.call("purge") == 4
    assert {name for name, _, _ in kept(world)} == {lease_name(f"long{i}") for i in range(4)}
    world.clock.advance(1_000)
    monkeypatch.setattr(_operations, "chance", lambda: 0.0)
    world.put("value")
    world.put("value")  # the first begins behind its own key, as all leases do
    assert kept(world) == []


@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_the_clean_up_leaves_a_lease_that_was_taken_meanwhile(world):
    """Between looking and removing, it has a new owner."""
    world.call("acquire", KEY, b"one", 10.0)
    world.clock.advance(11)
    operations, other = world.store._operations, world.new_store()
    original = operations.sql.remove

    def overtaken(names):
        assert other.acquire(KEY, b"two", 10.0)
        return original(names)

    operations.sql.remove = overtaken
    assert world.call("purge") == 0
    assert not world.call("acquire", KEY, b"one", 10.0)


def test_a_key_its_lease_and_a_tag_of_one_name_are_three_rows(world):
    slot = SLOT._replace(tags=(KEY,))
    snapshot = world.missed(slot)
    assert world.call("acquire", KEY, b"one", 30.0)
    world.call("invalidate", [KEY])
    world.call("delete", [KEY])
    assert world.rows() == 3
    assert not world.put("stale", slot=slot, snapshot=snapshot)
    assert not world.call("acquire", KEY, b"two", 30.0)


# -- waiting ------------------------------------------------------------------------------------------


def test_pauses_grow_to_a_twentieth_of_a_second():
    pauses = list(itertools.islice(_leases.pauses(), 10))
    assert pauses[0] == 0.01
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.05


@pytest.fixture
def slept(world, monkeypatch):
    """Pauses of a wait, and how many connections were in use: they take no time but the clocks'."""
    paused: list[tuple[float, int]] = []
    clock = SimpleNamespace(reading=100.0)

    def sleep(seconds):
        paused.append((seconds, checked_out(world.engine)))
        clock.reading += seconds
        world.clock.advance(seconds)

    async def async_sleep(seconds):
        sleep(seconds)

    monkeypatch.setattr(_sync, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(_async, "asyncio", SimpleNamespace(sleep=async_sleep))
    for face in (_sync, _async):
        monkeypatch.setattr(face, "monotonic", lambda: clock.reading)
    return paused


def test_who_waits_has_no_connection(world, slept):
    world.call("acquire", KEY, b"one", 30.0)
    assert set(world.took("wait", KEY, 0.25)) == {"SELECT"}
    pauses, connections = zip(*slept, strict=True)
    assert sum(pauses) == pytest.approx(0.25)
    assert max(pauses) == 0.05
    assert len(pauses) == 8
    assert set(connections) == {0}


def test_who_waits_looks_when_the_lease_should_have_ended(world, slept):
    world.call("acquire", KEY, b"one", 0.5)
    world.clock.advance(0.497)
    world.call("wait", KEY, 10.0)
    assert [pause for pause, _ in slept] == [0.003]


# -- processes ----------------------------------------------------------------------------------------


class Fleet:
    """Processes that miss one key, on the table of a world."""

    def __init__(self, world, folder):
        self.world = world
        self.common = elected.Common(folder / "events")
        self.common.path.touch()
        self.started = []

    def start(self, number, *, lock="cluster", lease=30.0, missing=None, long=0.0):
        fixed = [self.world.url, self.world.table, self.common.path, lock, lease, missing or number, long]
        command = [sys.executable, elected.__file__, *map(str, fixed)]
        self.started += [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(number)]
        return self.started[-number:]

    def got(self, processes):
        """Return the set of what their callers got, after nothing has failed."""
        values = set()
        for process in processes:
            result = json.loads(process.communicate(timeout=55)[0])
            assert result["errors"] == 0
            assert len(result["values"]) == elected.CALLERS
            values |= set(result["values"])
        return values

    @property
    def loads(self):
        return self.common.who("loads")


@pytest.fixture
def fleet(kind, url, tmp_path):
    with new_world(kind, url) as world:
        made = Fleet(world, tmp_path)
        yield made
        for process in made.started:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "aiosqlite", "asyncpg"])
def test_of_four_processes_with_several_misses_each_one_loads(fleet):
    """With "process" for a lock, each of them does."""
    values = fleet.got(fleet.start(4))
    assert len(fleet.loads) == 1
    assert values == {f"7 of {fleet.loads[0]}"}
    assert kept(fleet.world) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_when_the_elected_process_is_killed_another_takes_over(fleet):
    [first] = fleet.start(1, lease=1.0, missing=3)
    wait_until(lambda: fleet.loads == [first.pid], "the first one loads")
    [second] = fleet.start(1, lease=1.0, missing=2)
    wait_until(lambda: fleet.common.all_missed(2), "the second one waits")
    first.kill()
    assert fleet.got([second]) == {f"7 of {second.pid}"}
    assert fleet.loads == [first.pid, second.pid]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "asyncpg"])
def test_a_lease_that_is_shorter_than_the_load_is_renewed(fleet):
    """On a machine that is too busy to renew it in time, one more loads, and nobody sees an error."""
    fleet.got(fleet.start(4, lease=0.3, long=1.0))
    assert len(fleet.loads) <= 2


# -- failures -----------------------------------------------------------------------------------------


def test_a_store_that_fails_costs_loads_and_no_election(world):
    """Values come all the same, where not one call of the store succeeds."""
    world.call("create_all")
    broken = world.new_store(table=f"{world.table}_missing")
    broken._database._definitions = ["SELECT 1"]  # the table is missed, and not made
    face = (AsyncCache if world.is_async else Cache)(broken)
    loads = itertools.count()

    def load():
        return next(loads)

    async def load_async():
        return next(loads)

    options = {"ttl": 60, "lock": "cluster"}
    loader = load_async if world.is_async else load
    assert [world.driver(lambda: face.get_or_set("k", loader, **options)) for _ in range(2)] == [0, 1]
    assert face.stats().backend_errors > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aiosqlite", "async psycopg", "asyncpg"])
@loses
def test_who_is_cancelled_while_waiting_or_loading_leaves_nothing(world):
    async def scenario():
        one, other = AsyncCache(world.store), AsyncCache(world.new_store())
        loading = asyncio.Event()

        async def load():
            loading.set()
            await asyncio.sleep(3_600)

        options = {"ttl": 60, "lock": "cluster"}
        first = asyncio.create_task(one.get_or_set("k", load, **options))
        await loading.wait()
        second = asyncio.create_task(other.get_or_set("k", load, **options))
        world.sent.clear()
        while not any("kept -" in statement for statement in world.sent):  # noqa: ASYNC110  # any task's
            await asyncio.sleep(0.001)
        for task in (second, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The lease is given back by a task that may not have begun: the loop must not end before.
        while not any("DELETE" in each and "token" in each for each in world.sent):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        while checked_out(world.engine):  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.001)

    world.driver(scenario)
    wait_until(lambda: kept(world) == [], "the lease is given back")
