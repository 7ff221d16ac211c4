"""Databases that are frozen, killed, restarted, locked, full of others: bounded, told, never stale."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from scalekit.cache import Cache, Entry, Snapshot
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable
from scalekit.sqlalchemy import _deadline
from scalekit.sqlalchemy._async_deadline import LoopDeadline
from scalekit.sqlalchemy._deadline import Deadline
from scalekit.testing._cache_probe import place
from tests.cache.sqlalchemy.conftest import NOW, SLOT, loses, new_world

REMOTE = ["psycopg", "async psycopg", "asyncpg"]
# Nothing here is about how fast a busy machine is, only about not waiting for ever.
SOON = 20.0


@contextmanager
def harmed(kind, postgres):
    """A world on a server of its own, to harm; its store soon gives up, `patient` is for the time after."""
    with new_world(kind, postgres.url(driver="asyncpg" if kind == "asyncpg" else "psycopg")) as made:
        made.put("value")
        made.patient = made.store
        made.store = made.new_store(timeout=0.3, breaker_failures=2, breaker_reset=60)
        yield made
        postgres.restore()


@pytest.fixture
def remote(kind, postgres):
    with harmed(kind, postgres) as made:
        yield made


def told(call, *args):
    """Return the error that a call ends with, soon."""
    began = time.monotonic()
    with pytest.raises(BackendError) as caught:
        call(*args)
    assert time.monotonic() - began < SOON
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("kind", REMOTE)
def test_a_frozen_server_is_hung_up_on_and_left_alone(remote, postgres, caplog):
    postgres.freeze()
    first = told(remote.read)
    assert isinstance(first, BackendTimeout)
    assert first.__cause__ is not None
    assert "within 300 ms" in str(first)
    assert isinstance(told(remote.call, "invalidate", ["shop:t"]), BackendTimeout)
    assert isinstance(told(remote.call, "delete", ["shop:k"]), BackendUnavailable)
    [line] = [record.getMessage() for record in caplog.records if record.name == "scalekit"]
    assert line.startswith(
        "postgresql failed 2 times in a row: the circuit breaker is open, one call every 60 s"
    )
    postgres.thaw()
    remote.store = remote.patient
    assert remote.value() == "value"
    remote.call("invalidate", ["shop:t"])
    remote.missed()


@pytest.mark.parametrize("kind", REMOTE)
def test_a_server_that_is_back_is_asked_again(remote, postgres):
    remote.store = remote.new_store(timeout=0.3, breaker_failures=1, breaker_reset=0.01)
    postgres.freeze()
    told(remote.read)
    postgres.thaw()
    deadline = time.monotonic() + SOON
    while True:
        try:
            assert remote.value() == "value"
            break
        except BackendError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("kind", REMOTE)
def test_nothing_that_was_hung_up_on_goes_back_to_the_pool(remote, postgres):
    """The engine is the application's as well."""
    postgres.freeze()
    told(remote.read)
    postgres.thaw()
    assert remote.sql("SELECT 1") == [(1,)]
    pool = remote.engine.pool
    assert pool.checkedout() == 0


def test_a_connect_that_takes_long_does_not_count(monkeypatch, postgres_url):
    """Else each would be hung up on as soon as it is there, and the next call had to connect again."""
    set_at = []
    monkeypatch.setattr(_deadline, "monotonic", lambda: 1_000.0)
    monkeypatch.setattr(_deadline._alarms, "set", lambda at, call: set_at.append(at))
    limit = Deadline(5)
    monkeypatch.setattr(_deadline, "monotonic", lambda: 1_060.0)
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        limit.connected(connection)
        limit.done()
    engine.dispose()
    assert set_at == [1_065.0]


@pytest.mark.anyio
async def test_a_connect_that_takes_long_does_not_count_in_asyncio():
    class Connected:
        class connection:  # noqa: N801
            driver_connection = None

    loop = asyncio.get_running_loop()
    limit = LoopDeadline(asyncio.timeout(None), 5)
    first = limit._timer
    real = loop.time
    try:
        loop.time = lambda: real() + 60
        limit.connected(Connected)
    finally:
        loop.time = real
    assert first.cancelled()
    assert limit._timer.when() - first.when() >= 60
    limit.cancel()


@pytest.mark.parametrize("kind", ["psycopg"])
def test_a_connection_hung_up_on_by_a_hair_is_thrown_away(world):
    """The answer came first, and then the deadline: the connection is dead all the same."""

    class Late(Deadline):
        def done(self):
            super().done()
            self.expired = True

    world.put("value")
    with world.engine.connect() as connection:
        before = connection.connection.driver_connection
    assert world.store._database.call(Late(20), "read", lambda run: run.rows("SELECT 1", ()))
    with world.engine.connect() as connection:
        assert connection.connection.driver_connection is not before
    assert world.value() == "value"


@pytest.mark.parametrize("kind", REMOTE)
def test_a_lock_is_waited_for_no_longer_than_a_server(remote, postgres):
    """A lock that somebody holds is waited for no longer than a server that is frozen."""
    blocker = create_engine(postgres.url())
    with blocker.begin() as connection:
        connection.execute(text(f"SELECT 1 FROM {remote.table} FOR UPDATE"))
        assert isinstance(told(remote.call, "invalidate", ["shop:t"]), BackendTimeout)
        remote.store = remote.patient
        assert remote.value() == "value", "what was not invalidated is still served, and the caller was told"
    blocker.dispose()
    remote.call("invalidate", ["shop:t"])
    remote.missed()


@pytest.mark.parametrize("kind", REMOTE)
def test_the_servers_own_time_outs_are_time_outs(remote, postgres):
    sync = remote.engine.sync_engine if remote.is_async else remote.engine
    event.listen(sync, "connect", lambda connection, _: set_lock_timeout(connection))
    remote.driver(remote.engine.dispose)
    remote.store = remote.new_store()
    blocker = create_engine(postgres.url())
    with blocker.begin() as connection:
        connection.execute(text(f"SELECT 1 FROM {remote.table} FOR UPDATE"))
        error = told(remote.call, "invalidate", ["shop:t"])
    blocker.dispose()
    assert isinstance(error, BackendTimeout)
    assert "within" not in str(error)


def set_lock_timeout(connection):
    cursor = connection.cursor()
    cursor.execute("SET lock_timeout = 50")
    cursor.close()
    connection.commit()


@pytest.mark.parametrize("kind", REMOTE)
def test_a_killed_server_is_an_error_and_its_values_are_gone(remote, postgres):
    stale = remote.call("begin", SLOT, NOW, False)
    postgres.kill()
    assert not isinstance(told(remote.read), BackendTimeout)
    told(remote.call, "invalidate", ["shop:t"])
    assert isinstance(told(remote.read), BackendUnavailable)
    postgres.restart()
    remote.store = remote.patient
    found = remote.read()
    assert isinstance(found, Snapshot), "what was not invalidated because of the crash is not served"
    assert not remote.put("stale", snapshot=stale)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REMOTE)
def test_a_restart_is_not_noticed(remote, postgres):
    remote.store = remote.patient
    postgres.restart()
    remote.call("invalidate", ["shop:t"])
    postgres.restart()
    remote.missed()
    postgres.restart()
    assert remote.put("new")


@pytest.mark.parametrize("kind", REMOTE)
def test_a_server_that_is_full_is_given_a_rest(remote, postgres):
    remote.driver(remote.engine.dispose)
    crowd = create_engine(postgres.url(), poolclass=NullPool)
    held = []
    with pytest.raises(OperationalError):  # noqa: PT012
        while True:
            held.append(crowd.connect())
    told(remote.read)
    told(remote.read)
    assert isinstance(told(remote.read), BackendUnavailable)
    for connection in held:
        connection.close()
    remote.store = remote.patient
    assert remote.value() == "value"


@pytest.mark.parametrize("kind", REMOTE)
def test_a_pool_that_is_empty_says_nothing_about_the_server(remote):
    crowded = remote.new_engine(pool_size=1, max_overflow=0, pool_timeout=0.05)
    remote.store = remote.new_store(crowded, breaker_failures=1)
    remote.put("value")

    async def hold_async():
        async with crowded.connect():
            return [await called(remote.store.read) for _ in range(3)]

    async def called(read):
        with pytest.raises(BackendTimeout) as caught:
            await read(SLOT, NOW)
        return caught.value

    if remote.is_async:
        errors = remote.driver(hold_async)
    else:
        with crowded.connect():
            errors = [told(remote.read) for _ in range(3)]
    assert not any(isinstance(error, BackendUnavailable) for error in errors)
    assert remote.value() == "value"


def test_a_connection_is_waited_for_no_longer_than_psycopg_allows(postgres):
    """Without a word about it in the engine: the driver's own default is 130 s."""
    seen = []
    engine = create_engine(postgres.url())
    store, twin = SQLAlchemyCacheStore(engine), SQLAlchemyCacheStore(engine, table="scalekit_twin")
    event.listen(engine, "do_connect", lambda *args: seen.append(dict(args[-1])))
    store.read(SLOT, NOW)
    twin.read(SLOT, NOW)
    with engine.connect(), engine.connect():
        pass
    engine.dispose()
    assert [parameters.get("connect_timeout") for parameters in seen] == [2, None]
    chosen = create_engine(postgres.url() + "?connect_timeout=7")
    store = SQLAlchemyCacheStore(chosen)
    event.listen(chosen, "do_connect", lambda *args: seen.append(dict(args[-1])))
    store.read(SLOT, NOW)
    chosen.dispose()
    assert str(seen[-1]["connect_timeout"]) == "7"
    postgres.psql("DROP TABLE scalekit_cache; DROP TABLE scalekit_twin")


@pytest.mark.slow
def test_never_stale_while_the_server_is_killed_and_restarted(postgres):  # noqa: C901
    """Readers load and store, the source changes and says so, the server dies under both."""
    engine = create_engine(postgres.url(), pool_timeout=1)
    store = SQLAlchemyCacheStore(engine, timeout=0.5, breaker_reset=0.02)
    cache = Cache(store, on_error_invalidate="queue")
    lock = threading.Lock()
    source = told_until = 0
    stale: list[tuple[int, int]] = []
    hits = 0
    running = True

    @cache.cached(ttl=60, tags=["t"])
    def load(key):
        return source

    def read(key):
        nonlocal hits
        while running:
            oldest = told_until
            value = load(key)
            with lock:
                hits += 1
                if value < oldest:
                    stale.append((value, oldest))

    def write():
        nonlocal source, told_until, running
        try:
            for i in range(120):
                source += 1
                cache.invalidate_tags("t")
                told_until = source
                if i % 40 == 10:
                    postgres.kill()
                elif i % 40 == 20:
                    postgres.start()
                elif i % 40 == 30:
                    postgres.restart()
                time.sleep(0.005)
        finally:
            running = False

    with ThreadPoolExecutor(4) as threads:
        tasks = [threads.submit(read, key % 2) for key in range(3)]
        write()
        for task in tasks:
            task.result(60)
    cache.join(timeout="60s")  # what is queued is delivered, and not in the time of another test
    engine.dispose()
    postgres.psql("DROP TABLE IF EXISTS scalekit_cache")
    assert hits > 100
    assert not stale, f"(served, told before): {stale[:5]}"


# -- cancelled ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["aiosqlite", *REMOTE[1:]])
@loses
def test_a_cancelled_call_leaves_nothing_behind(kind, url):
    """At whatever point: the connection is given back or thrown away, and others go on."""
    with new_world(kind, url) as world:
        world.put("value")
        small = world.new_engine(poolclass=AsyncAdaptedQueuePool, pool_size=2, max_overflow=0)
        store = world.new_store(small)

        async def scenario():
            calls = [
                lambda: store.read(SLOT, NOW),
                lambda: store.write(SLOT, Entry(2, expires=NOW + 60), None, NOW),
                lambda: store.invalidate(["shop:t"]),
            ]
            for i in range(60):
                task = asyncio.create_task(calls[i % 3]())
                for _ in range(i // 3):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            for call in calls * 2:
                await asyncio.wait_for(call(), SOON)
            return small.pool.checkedout()

        assert world.driver(scenario) == 0
        world.put("again")
        assert world.value() == "again"


@pytest.mark.parametrize("kind", ["aiosqlite"])
@pytest.mark.parametrize("call", ["read", "wait"])
def test_a_cancelled_call_leaves_no_lock_on_the_file(world, call):
    """Not even while its error, and the cursor with it, is in somebody's hands."""
    world.put("value")
    world.call("acquire", SLOT.key, b"one", 60.0)
    arguments = {"read": (SLOT, NOW), "wait": (SLOT.key, 60.0)}[call]
    tasks = []

    async def scenario():
        tasks.append(asyncio.create_task(getattr(world.store, call)(*arguments)))
        with pytest.raises(asyncio.CancelledError) as caught:
            await tasks[0]
        with sqlite3.connect(world.engine.url.database, timeout=0) as other:
            other.execute(f"UPDATE {world.table} SET kept = kept")
        other.close()
        return caught

    event.listen(world.engine.sync_engine, "before_cursor_execute", lambda *_: tasks and tasks[0].cancel())
    assert world.driver(scenario)


@pytest.mark.parametrize("kind", ["aiosqlite"])
def test_who_is_cancelled_does_not_wait_for_a_connection(world):
    small = world.new_engine(
        poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=2 * SOON
    )
    store = world.new_store(small)

    async def scenario():
        async with small.connect():
            task = asyncio.create_task(store.read(SLOT, NOW))
            for _ in range(10):
                await asyncio.sleep(0)
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < SOON
        return await store.read(SLOT, NOW)

    assert world.driver(scenario)


# psycopg first asks the server, for up to 5 seconds, to cancel its part.
@pytest.mark.parametrize("kind", ["asyncpg"])
@loses
def test_a_cancelled_call_is_cancelled_even_if_its_time_is_over(kind, postgres):
    with harmed(kind, postgres) as remote:

        async def scenario():
            task = asyncio.create_task(remote.store.read(SLOT, NOW))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return task.cancelled()

        postgres.freeze()
        assert remote.driver(scenario)
        postgres.thaw()
        remote.store = remote.patient
        assert remote.value() == "value"


# -- SQLite -------------------------------------------------------------------------------------------

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.mark.parametrize("kind", ["sqlite", "aiosqlite"])
def test_a_file_that_another_process_has_locked(world, tmp_path):
    world.put("value")
    impatient = world.new_engine(connect_args={"timeout": 0.05})
    world.store = world.new_store(impatient, breaker_failures=3)
    assert world.value() == "value"
    command = [sys.executable, "-c", LOCKER, f"{tmp_path}/cache.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        for name, arguments in (("read", (SLOT, NOW)), ("invalidate", (["shop:t"],))):
            error = told(world.call, name, *arguments)
            assert isinstance(error, BackendTimeout)
            assert "locked" in str(error)
        locker.stdin.close()
        locker.wait(SOON)
    assert world.value() == "value"
    world.call("invalidate", ["shop:t"])
    world.missed()


@pytest.mark.parametrize("kind", ["sqlite", "aiosqlite"])
def test_a_reader_that_keeps_a_commit_waiting(world, tmp_path):
    """Without WAL it can: the write is an error then, leaves no lock, and does not come with the next one."""
    world.put("value")
    world.store = world.new_store(world.new_engine(connect_args={"timeout": 0.05}), breaker_failures=9)
    with sqlite3.connect(f"{tmp_path}/cache.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {world.table}").fetchall()
        assert isinstance(told(world.put, "lost"), BackendTimeout)
        reader.execute("ROLLBACK")
    reader.close()
    with sqlite3.connect(f"{tmp_path}/cache.db", timeout=0) as other:
        other.execute(f"UPDATE {world.table} SET kept = kept")
    other.close()
    assert world.put("other", slot=place("shop:other", "shop:"))
    assert world.value() == "value"


@pytest.mark.parametrize("kind", ["sqlite", "aiosqlite"])
def test_a_file_that_is_no_database(world, tmp_path):
    world.put("value")
    world.driver(world.engine.dispose)
    path = tmp_path / "cache.db"
    whole = path.read_bytes()
    path.write_bytes(b"x" * 5_000)
    error = told(world.read)
    assert (error.backend, error.operation) == ("sqlite", "read")
    assert "not a database" in str(error)
    world.driver(world.engine.dispose)
    path.write_bytes(whole)
    assert world.value() == "value"


def test_an_error_does_not_tell_what_is_stored(postgres_url):
    """SQLAlchemy's own errors show the parameters, which are the application's data."""
    engine = create_engine(postgres_url)
    store = SQLAlchemyCacheStore(engine)
    store._operations.sql.put = lambda: "INSERT INTO nowhere VALUES (%s, %s, %s, %s, %s, %s, %s)"
    slot = place("secret", "secret")
    error = told(store.write, slot, Entry("secret", expires=NOW + 9), None, NOW)
    engine.dispose()
    assert "nowhere" in str(error)
    assert "secret" not in str(error)


def test_the_application_may_not_create_tables(postgres):
    role = f"reader_{uuid.uuid4().hex}"
    owner = create_engine(postgres.url(), poolclass=NullPool)
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
    engine = create_engine(postgres.url(), connect_args={"options": f"-c role={role}"})
    store = SQLAlchemyCacheStore(engine, table="scalekit_forbidden")
    for call, arguments in ((store.create_all, ()), (store.read, (SLOT, NOW)), (store.purge, ())):
        assert "permission denied" in str(told(call, *arguments))
    engine.dispose()
    with owner.begin() as connection:
        connection.execute(text(f"DROP ROLE {role}"))
