"""Several at once: processes that load and invalidate, statements that lock many rows, tables made twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text

from scalekit.cache import Entry
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore
from scalekit.sqlalchemy import _database
from scalekit.testing._cache_probe import place
from tests.cache.sqlalchemy import racer
from tests.cache.sqlalchemy.conftest import NOW
from tests.servers.lifeline import wait_until

CALLS = 500


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_four_processes_never_serve_what_was_invalidated(world, tmp_path):
    """`racer.py` says how; to see it fail, give it the mutant "late"."""
    shared = tmp_path / "source"
    shared.write_bytes(bytes(racer.SIZE))
    world.call("create_all")  # else one may want to lose a row before there is a table
    command = [sys.executable, racer.__file__, world.url, world.table, shared, str(CALLS)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    results = [json.loads(process.communicate(timeout=55)[0]) for process in processes]
    total = {name: sum(result[name] for result in results) for name in ("reads", "hits", "stale", "errors")}
    assert total["errors"] == 0, [result.get("error") for result in results]
    assert total["hits"] > 4 * CALLS / 20, "nothing was cached"
    assert total["stale"] == 0


@pytest.mark.parametrize("kind", ["psycopg"])
def test_statements_that_lock_many_rows_never_wait_for_each_other_in_a_circle(world, monkeypatch):
    """With no second attempt, a deadlock would be an error."""
    world.call("create_all")
    monkeypatch.setattr(_database, "_ATTEMPTS", 1)
    monkeypatch.setattr("scalekit.cache.sqlalchemy._operations.chance", random.random)
    engine = world.new_engine(pool_size=8)
    store = world.new_store(engine)
    slots = [place(f"k{i}", f"t{i}", f"t{i + 1}", "t") for i in range(24)]
    start = threading.Barrier(8)

    def work(seed):
        chosen = random.Random(seed)
        start.wait()
        for _ in range(60):
            some = chosen.sample(slots, 16)
            match chosen.randrange(5):
                case 0:
                    store.invalidate([tag for slot in some for tag in slot.tags])
                case 1:
                    store.delete([slot.key for slot in some])
                case 2:
                    world.clock.advance(chosen.choice([0, 4_000]))
                    store.purge()
                case _:
                    found = store.read_many(some, NOW)
                    ends = NOW + chosen.choice([1, 60, 10**6])
                    writes = [
                        (slot, Entry(1, expires=ends), seen)
                        for slot, seen in zip(some, found, strict=True)
                        if not isinstance(seen, Entry)
                    ]
                    store.write_many(writes, NOW)
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


@pytest.mark.parametrize("kind", ["psycopg"])
@pytest.mark.parametrize("call", ["invalidate", "delete", "write", "write_many"])
def test_rows_are_locked_in_the_order_of_their_names(world, call):
    """Where they lie in another order, and are found in that one: the first by name is waited for first."""
    slots = [place(f"k{i}", *(f"t{j}" for j in reversed(range(6)))) for i in reversed(range(6))]
    for slot in slots:
        world.put(1, slot=slot)
    for i in reversed(range(6)):  # each of them goes to the end of the table
        world.call("invalidate", [f"t{i}"])
    scanned = {"options": "-c enable_indexscan=off -c enable_bitmapscan=off -c enable_indexonlyscan=off"}
    store = world.new_store(world.new_engine(connect_args=scanned))
    snapshots = store.read_many(slots, NOW)
    writes = [
        (slot, Entry(2, expires=NOW + 10**6), seen) for slot, seen in zip(slots, snapshots, strict=True)
    ]
    calls = {
        "invalidate": lambda: store.invalidate([f"t{i}" for i in range(6)]),
        "delete": lambda: store.delete([slot.key for slot in slots]),
        "write": lambda: store.write(*writes[0], NOW),  # it renews the tags
        "write_many": lambda: store.write_many(writes, NOW),
    }
    first, kind = (b"t:t0", "t:t") if call in {"invalidate", "write"} else (b"k:k0", "k:k")
    those = "name >= :kind AND name < :kind || '\\xff'"
    free = text(f"SELECT name FROM {world.table} WHERE {those} FOR UPDATE SKIP LOCKED")
    with (
        world.engine.connect() as holder,
        world.engine.connect() as watcher,
        ThreadPoolExecutor(1) as threads,
    ):
        holder.execute(text(f"SELECT 1 FROM {world.table} WHERE name = :name FOR UPDATE"), {"name": first})
        task = threads.submit(calls[call])
        wait_until(lambda: blocked(watcher, world.table), "the call waits for the row")
        left = [bytes(name) for (name,) in watcher.execute(free, {"kind": kind.encode()})]
        watcher.rollback()
        holder.rollback()
        task.result(20)
    assert len(left) == 5, "rows after the one that is held are locked already"


def blocked(connection, table):
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE ' || :table || '%'"
    )
    waits = connection.execute(query, {"table": table}).scalar()
    connection.rollback()
    return waits


@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_many_who_are_the_first_to_use_a_table(world):
    engines = [world.new_engine() for _ in range(6)]
    for round_ in range(4):
        start = threading.Barrier(6)

        def first(engine, round_=round_, start=start):
            store = SQLAlchemyCacheStore(engine, table=f"{world.table}_{round_}", timeout=20)
            start.wait()
            store.invalidate(["t"])
            return store.write(place("k", "t"), Entry(1, expires=NOW + 60), None, NOW)

        with ThreadPoolExecutor(6) as threads:
            assert all(threads.map(first, engines))
        world.sql(f"DROP TABLE {world.table}_{round_}")


def test_a_table_that_vanishes_is_made_again(world):
    world.put("value")
    world.sql("DROP TABLE TABLE_")
    snapshot = world.missed()
    assert world.put("new", snapshot=snapshot)
    assert world.value() == "new"
    world.call("create_all")
    assert world.value() == "new"


def test_two_stores_on_one_engine_keep_to_their_tables(world):
    other = world.new_store(table=f"{world.table}_b")
    world.put("value")
    found = world.driver(other.read, place("shop:k", "shop:", "shop:t"), NOW)
    assert not isinstance(found, Entry)
    world.sql("DROP TABLE TABLE__b")


def test_migrations_can_make_the_table(world):
    """`metadata` is what Alembic's autogenerate compares; what it makes is what the store uses."""
    [table] = world.store.metadata.tables.values()
    assert table.name == world.table
    assert [column.name for column in table.primary_key] == ["name"]
    sync = create_engine(world.url.replace("+aiosqlite", "").replace("asyncpg", "psycopg"))
    world.store.metadata.create_all(sync)
    sync.dispose()
    assert world.put("value")
    if "sqlite" not in world.kind:
        kinds = world.sql("SELECT relpersistence FROM pg_class WHERE relname = :name", name=world.table)
        assert [one if isinstance(one, str) else one.decode() for (one,) in kinds] == ["u"]
