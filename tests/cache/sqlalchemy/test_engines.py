"""Which engines and arguments the SQL stores take, and what sharing one connection means."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from functools import partial

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool, StaticPool

from scalekit.cache import AsyncCache, Cache, Entry
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore
from scalekit.errors import BackendError, ConfigurationError
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver
from tests.architecture.extras import run_without
from tests.cache.sqlalchemy.conftest import NOW, SLOT

SYNC, ASYNC = SQLAlchemyCacheStore, AsyncSQLAlchemyCacheStore
OWN = "of the store's own with poolclass=StaticPool"
SHARED = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}


def sync(url="sqlite:///never.db", **options):
    return lambda: create_engine(url, **options)


def async_(url="sqlite+aiosqlite:///never.db", **options):
    return lambda: create_async_engine(url, **options)


@pytest.mark.parametrize(
    ("store", "engine", "options", "complaint"),
    [
        (SYNC, async_(), {}, "AsyncSQLAlchemyCacheStore takes an AsyncEngine"),
        (SYNC, lambda: async_()().sync_engine, {}, "AsyncSQLAlchemyCacheStore takes an AsyncEngine"),
        (ASYNC, sync(), {}, "SQLAlchemyCacheStore takes an Engine"),
        (SYNC, lambda: "sqlite://", {}, "expected engine as an Engine"),
        (ASYNC, lambda: None, {}, "expected engine as an AsyncEngine"),
        (SYNC, sync("sqlite://", poolclass=NullPool), {}, OWN),
        (SYNC, sync("sqlite://", poolclass=QueuePool), {}, OWN),
        (SYNC, sync("sqlite:///file:x?mode=memory&uri=true", poolclass=QueuePool), {}, OWN),
        (ASYNC, async_("sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool), {}, OWN),
        (SYNC, sync(), {"table": ""}, "expected table"),
        (SYNC, sync(), {"table": "a; DROP TABLE b"}, "expected table"),
        (SYNC, sync(), {"table": "x" * 64}, "expected table"),
        (SYNC, sync(), {"table": 7}, "expected table"),
        (SYNC, sync(), {"wall_clock": 1.0}, "expected wall_clock"),
        (SYNC, sync(), {"timeout": 0}, "expected timeout > 0"),
        (SYNC, sync(), {"timeout": "soon"}, "expected timeout"),
        (SYNC, sync(), {"breaker_failures": 0}, "expected breaker_failures"),
        (SYNC, sync(), {"breaker_failures": True}, "expected breaker_failures"),
        (ASYNC, async_(), {"breaker_reset": -1}, "expected breaker_reset"),
    ],
)
def test_what_makes_no_sense(store, engine, options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        store(engine(), **options)


def test_other_databases_are_refused_by_name():
    # No driver of theirs is installed: a stand-in has all that is looked at.
    class Driver:
        paramstyle = "qmark"
        Error = Exception

    engine = create_engine("mysql+pymysql://h/d", module=Driver)
    with pytest.raises(ConfigurationError) as caught:
        SQLAlchemyCacheStore(engine)
    assert "mysql+pymysql" in str(caught.value)
    assert "for SQLite (pysqlite, aiosqlite) or PostgreSQL (psycopg, asyncpg)" in str(caught.value)


@pytest.mark.parametrize(("store", "engine"), [(SYNC, sync()), (ASYNC, async_())])
def test_a_sqlite_without_what_the_statements_need_is_refused(store, engine, monkeypatch):
    made = engine()
    monkeypatch.setattr(made.dialect.loaded_dbapi, "sqlite_version_info", (3, 32, 3))
    with pytest.raises(ConfigurationError, match=r"on SQLite >= 3\.33; got"):
        store(made)
    monkeypatch.setattr(made.dialect.loaded_dbapi, "sqlite_version_info", (3, 33, 0))
    store(made)


def test_faces_take_their_kind():
    with pytest.raises(TypeError, match="AsyncCache"):
        Cache(AsyncSQLAlchemyCacheStore(async_()()))
    with pytest.raises(TypeError, match="Cache"):
        AsyncCache(SQLAlchemyCacheStore(sync()()))


def test_odd_names_of_tables(tmp_path):
    for name in ("Select", "ORDER", "_x9", "x" * 63):
        engine = create_engine(f"sqlite:///{tmp_path}/cache.db")
        store = SQLAlchemyCacheStore(engine, table=name)
        store.write(SLOT, Entry(name, expires=NOW + 60), None, NOW)
        assert store.read(SLOT, NOW).value == name
        engine.dispose()


# -- one connection for all ---------------------------------------------------------------------------


def test_threads_in_memory_with_one_connection():
    """Two stores of one engine take turns: else one would undo what the other has not committed."""
    engine = create_engine("sqlite://", **SHARED)
    stores = [SQLAlchemyCacheStore(engine) for _ in range(2)]
    failed = []

    def work(number):
        store = stores[number % 2]
        for i in range(60):
            slot = place(f"k{number}-{i}", "t")
            try:
                stored = store.write(slot, Entry(i, expires=NOW + 60), store.begin(slot, NOW, True), NOW)
                found = store.read(slot, NOW)
                if not stored or found.value != i:
                    failed.append(found)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert failed == []


def test_tasks_in_memory_with_one_connection():
    with Driver() as driver:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        stores = [AsyncSQLAlchemyCacheStore(engine) for _ in range(2)]

        async def work(number):
            store = stores[number % 2]
            for i in range(25):
                slot = place(f"k{number}-{i}", "t")
                snapshot = await store.begin(slot, NOW, True)
                assert await store.write(slot, Entry(i, expires=NOW + 60), snapshot, NOW)
                assert (await store.read(slot, NOW)).value == i

        async def cancelled():
            task = asyncio.create_task(work(9))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await work(10)

        driver.concurrently([partial(work, number) for number in range(4)])
        driver(cancelled)
        driver(engine.dispose)


def test_one_store_in_two_event_loops_in_turn(tmp_path):
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    store = AsyncSQLAlchemyCacheStore(engine)

    async def work():
        await asyncio.gather(*[store.invalidate(["t"]) for _ in range(5)])

    for _ in range(2):
        with Driver() as driver:
            driver(work)
            driver(engine.dispose)


def test_a_database_for_each_thread_is_used_by_one_thread_only():
    """SQLite in memory as SQLAlchemy has it by default: no invalidation would reach another thread."""
    engine = create_engine("sqlite://")
    store = SQLAlchemyCacheStore(engine)
    assert store.write(SLOT, Entry(1, expires=NOW + 60), None, NOW)
    assert store.read(SLOT, NOW).value == 1
    errors = []

    def elsewhere():
        try:
            store.invalidate(["shop:t"])
        except ConfigurationError as error:
            errors.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert OWN in errors[0]
    engine.dispose()


def test_a_database_in_memory_that_connections_share():
    url = "sqlite:///file:scalekit_shared?mode=memory&cache=shared&uri=true"
    engine = create_engine(url, poolclass=QueuePool)
    with engine.connect():  # it lives as long as somebody is connected
        store = SQLAlchemyCacheStore(engine)
        assert store.write(SLOT, Entry(1, expires=NOW + 60), None, NOW)
        assert store.read(SLOT, NOW).value == 1
    engine.dispose()


# -- what applications do to their engines ------------------------------------------------------------


def test_an_engine_that_begins_by_itself(tmp_path):
    """The recipe of SQLAlchemy's documentation for savepoints and serializable isolation on SQLite."""
    from sqlalchemy import event

    engine = create_engine(f"sqlite:///{tmp_path}/cache.db", connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    store, other = SQLAlchemyCacheStore(engine), SQLAlchemyCacheStore(engine)
    snapshot = store.read(SLOT, NOW)
    assert store.write(SLOT, Entry(1, expires=NOW + 10**6), snapshot, NOW)
    assert other.read(SLOT, NOW).value == 1
    other.invalidate(["shop:t"])
    assert not store.write(SLOT, Entry(2, expires=NOW + 60), snapshot, NOW)
    assert store.write(SLOT, Entry(3, expires=NOW + 60), None, NOW)
    assert other.purge() == 0
    engine.dispose()


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_an_engine_with_an_isolation_level(tmp_path, postgres_url, level):
    for url in (f"sqlite:///{tmp_path}/cache.db", postgres_url):
        engine = create_engine(url, isolation_level=level)
        store = SQLAlchemyCacheStore(engine, table=f"level_{level.lower()}")
        assert store.write(SLOT, Entry(1, expires=NOW + 60), store.read(SLOT, NOW), NOW)
        assert store.read(SLOT, NOW).value == 1
        if level == "SERIALIZABLE":  # drivers never say AUTOCOMMIT
            with engine.connect() as connection:
                assert connection.get_isolation_level() == level, "it is the engine's still"
        engine.dispose()


def test_importing_the_module_needs_nothing():
    program = (
        "import sys, json; import scalekit.cache.sqlalchemy as m; [getattr(m, n) for n in m.__all__];"
        "print(json.dumps([n for n in ('sqlalchemy', 'greenlet') if n in sys.modules]))"
    )
    assert (
        json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
        == []
    )


@pytest.mark.parametrize(
    ("call", "absent", "missing"),
    [
        ("SQLAlchemyCacheStore(None)", {"sqlalchemy"}, "sqlalchemy"),
        ("AsyncSQLAlchemyCacheStore(None)", {"sqlalchemy"}, "sqlalchemy"),
        ("AsyncSQLAlchemyCacheStore(None)", {"greenlet"}, "greenlet"),
        ("invalidate_on_commit(None, None, 'a')", {"sqlalchemy"}, "sqlalchemy"),
    ],
)
def test_without_its_package_a_name_says_what_to_install(call, absent, missing):
    name = call.partition("(")[0]
    program = f"""
from scalekit.cache.sqlalchemy import {name}
from scalekit.errors import MissingExtra
try:
    {call}
except MissingExtra as error:
    print(json.dumps(str(error)))
"""
    assert run_without(absent, program) == f"{name} needs {missing}: pip install 'scaleblocks[sqlalchemy]'"


def test_errors_are_the_familys(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/nowhere/cache.db")
    with pytest.raises(BackendError, match="unable to open") as caught:
        SQLAlchemyCacheStore(engine).read(SLOT, NOW)
    assert caught.value.__cause__.__class__.__module__ == "sqlite3"
