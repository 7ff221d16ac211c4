"""Databases that are frozen, killed, restarted, locked: a typed error in time, and then all goes on."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter
from scalekit.testing._driver import Driver
from tests.ratelimit.sqlalchemy.conftest import IGNORED, MANY, REMOTE, new_world

# Nothing here is about how fast a busy machine is, only about not waiting for ever.
SOON = 20.0
METHODS = ["hit", "peek", "refund"]


@contextmanager
def harmed(kind, postgres):
    """A world on a server of its own, to harm; its store soon gives up, `patient` is for the time after."""
    with new_world(kind, postgres.url(driver="asyncpg" if kind == "asyncpg" else "psycopg")) as made:
        made.hit()
        made.patient = made.store
        made.store = made.new_store(timeout=0.3, breaker_failures=1_000)
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


@pytest.mark.parametrize("kind", REMOTE)
def test_a_frozen_server_is_a_timeout_and_never_a_denial(remote, postgres):
    limiter = (AsyncRateLimiter if remote.is_async else RateLimiter)("5/h", store=remote.patient)
    assert remote.driver(limiter.hit, "through a limiter").allowed
    limiter = (AsyncRateLimiter if remote.is_async else RateLimiter)(
        "5/h", store=remote.store, on_error="raise"
    )
    postgres.freeze()
    for method in METHODS:
        error = told(remote.call, method, "k", MANY, 1, IGNORED)
        assert isinstance(error, BackendTimeout)
        assert error.operation == method
        assert method != "hit" or "within 300 ms" in str(error)  # the next ones have to connect first
    assert isinstance(told(remote.driver, limiter.hit, "through a limiter"), BackendTimeout)
    postgres.thaw()
    remote.store = remote.patient
    assert remote.hit().allowed
    limiter = (AsyncRateLimiter if remote.is_async else RateLimiter)("5/h", store=remote.patient)
    assert remote.driver(limiter.hit, "through a limiter").allowed


@pytest.mark.parametrize("kind", REMOTE)
def test_a_server_that_does_not_answer_is_left_alone(remote, postgres):
    remote.store = remote.new_store(timeout=0.3, breaker_failures=1, breaker_reset=60)
    postgres.freeze()
    assert isinstance(told(remote.hit), BackendTimeout)
    assert isinstance(told(remote.hit), BackendUnavailable)
    postgres.thaw()


@pytest.mark.parametrize("kind", REMOTE)
def test_a_killed_server_is_an_error_and_a_restarted_one_is_asked_again(remote, postgres):
    remote.store = remote.patient
    postgres.kill()
    told(remote.hit)
    told(remote.peek)
    postgres.start()
    assert remote.hit().remaining == (998, 4_998), "what was committed is there"
    postgres.restart()
    assert remote.hit().remaining == (997, 4_997), "a connection that was lost meanwhile costs nothing"


@pytest.mark.parametrize("kind", REMOTE)
def test_a_row_that_somebody_holds_is_a_timeout(remote, postgres):
    blocker = create_engine(postgres.url())
    with blocker.begin() as connection:
        connection.execute(text(f"SELECT 1 FROM {remote.table} FOR UPDATE"))
        assert isinstance(told(remote.hit), BackendTimeout)
        assert isinstance(told(remote.refund), BackendTimeout)
        assert remote.peek().remaining == (999, 4_999), "who looks waits for nobody"
        assert remote.hit("another").allowed
    blocker.dispose()
    assert remote.hit().allowed


@pytest.mark.parametrize("kind", REMOTE)
def test_a_server_that_freezes_between_reading_and_writing(remote, postgres):
    """Nor is it waited for when the transaction is rolled back."""
    remote.meanwhile(postgres.freeze)
    assert isinstance(told(remote.hit), BackendTimeout)
    remote.store = remote.patient
    postgres.thaw()
    assert remote.hit().allowed
    remote.store = remote.new_store(timeout=0.3, breaker_failures=1_000)
    remote.meanwhile(postgres.freeze)
    assert isinstance(told(remote.hit, "k", MANY, 2_000), BackendTimeout), "a denial says goodbye, too"
    postgres.thaw()
    remote.store = remote.patient
    assert remote.hit().allowed


@pytest.mark.parametrize("kind", REMOTE)
def test_a_connection_that_is_lost_in_between_counts_once(remote, postgres):
    remote.store = remote.patient
    ours = "state = 'idle in transaction'"
    end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}"
    remote.meanwhile(lambda: postgres.psql(end))
    assert remote.hit().remaining == (998, 4_998)
    assert remote.peek().remaining == (998, 4_998)


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize(("call", "left"), [("hit", 998), ("refund", 1_000)])
def test_what_may_be_committed_is_not_done_again(remote, monkeypatch, call, left):
    """Its answer is lost: a hit that is sent again counts twice, and a refund sent again admits more."""
    remote.store = remote.patient
    if call == "refund":
        remote.hit()
        remote.hit()
        left = 998
    sync = remote.engine.sync_engine if remote.is_async else remote.engine
    commit, lost = sync.dialect.do_commit, []

    def committed(connection):
        commit(connection)
        if not lost:
            lost.append(True)
            cause = Exception("server closed the connection")
            raise DBAPIError("COMMIT", None, cause, connection_invalidated=True)

    monkeypatch.setattr(sync.dialect, "do_commit", committed)
    error = told(getattr(remote, call))
    assert "server closed the connection" in str(error)
    assert remote.peek().remaining[0] == left


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
    world.hit()
    impatient = world.new_engine(connect_args={"timeout": 0.05})
    world.store = world.new_store(impatient, breaker_failures=1_000)
    assert world.hit().remaining[0] == 998
    command = [sys.executable, "-c", LOCKER, f"{tmp_path}/limits.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        for call in (world.hit, world.peek, world.refund):
            error = told(call)
            assert isinstance(error, BackendTimeout)
            assert "locked" in str(error)
        locker.stdin.close()
        locker.wait(SOON)
    assert world.hit().remaining[0] == 997


@pytest.mark.parametrize("kind", ["sqlite", "aiosqlite"])
def test_a_reader_that_keeps_a_commit_waiting(world, tmp_path):
    """Without WAL it can: the hit is an error then, is not counted, and leaves no lock."""
    world.hit()
    world.store = world.new_store(world.new_engine(connect_args={"timeout": 0.05}), breaker_failures=1_000)
    reader = create_engine(f"sqlite:///{tmp_path}/limits.db")
    with reader.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(f"SELECT count(*) FROM {world.table}").fetchall()
        assert isinstance(told(world.hit), BackendTimeout)
        connection.rollback()
    reader.dispose()
    assert world.hit().remaining[0] == 998


@pytest.fixture
def collected():
    """Collect what a test has lost when it is over, and not in somebody else's test."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
    gc.collect()


@pytest.mark.parametrize("kind", ["aiosqlite", *REMOTE[1:]])
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cancelled_call_leaves_nothing_behind(kind, url):
    """At whatever point: no lock is left, the connection is given back, and others go on."""
    with new_world(kind, url) as world:
        world.hit()
        small = world.new_engine(poolclass=AsyncAdaptedQueuePool, pool_size=2, max_overflow=0)
        store = world.new_store(small)

        async def scenario():
            for i in range(60):
                method = getattr(store, METHODS[i % 3])
                task = asyncio.create_task(method("k", MANY, 1 + 5_000 * (i % 2), IGNORED))
                for _ in range(i // 3):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            for method in METHODS * 2:
                await asyncio.wait_for(getattr(store, method)("k", MANY, 1, IGNORED), SOON)
            return small.pool.checkedout()

        assert world.driver(scenario) == 0
        assert world.hit().allowed


@pytest.mark.parametrize("kind", ["aiosqlite", *REMOTE[1:]])
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_that_ended_with_connections_is_no_hindrance_to_the_next(kind, url):
    """As between two asyncio.run(), where nobody has disposed of the engine."""
    with new_world(kind, url) as world:
        engine = world.new_engine()
        store = world.new_store(engine)

        async def work():
            hits = [store.hit("k", MANY, 1, IGNORED) for _ in range(3)]
            return sorted(verdict.remaining[0] for verdict in await asyncio.gather(*hits))

        for left in (997, 994, 991):
            with Driver() as another:
                assert another(work) == [left, left + 1, left + 2]
                if left == 991:
                    another(engine.dispose)
        world.engines.remove(engine)


@pytest.mark.parametrize("kind", ["aiosqlite"])
def test_a_cancelled_hit_leaves_no_lock_on_the_file(world):
    world.hit()
    tasks = []

    async def scenario():
        tasks.append(asyncio.create_task(world.store.hit("k", MANY, 5_000, IGNORED)))
        with pytest.raises(asyncio.CancelledError) as caught:
            await tasks[0]
        with create_engine(world.url.replace("+aiosqlite", ""), connect_args={"timeout": 0}).begin() as other:
            other.exec_driver_sql(f"UPDATE {world.table} SET expires = expires")
        other.engine.dispose()
        return caught

    event.listen(world.engine.sync_engine, "before_cursor_execute", lambda *_: tasks and tasks[0].cancel())
    assert world.driver(scenario)
