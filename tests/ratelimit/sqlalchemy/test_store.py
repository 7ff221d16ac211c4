"""The SQL stores as callers see them: statements, the database's clock, the table."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from scalekit.errors import BackendError, ConfigurationError
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter, Verdict
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit.sqlalchemy import AsyncSQLAlchemyRateLimitStore, SQLAlchemyRateLimitStore
from scalekit.testing._driver import Driver
from tests.architecture.extras import run_without
from tests.ratelimit.sqlalchemy.conftest import IGNORED, MANY, REMOTE, quota

SECOND = 1_000_000
HOUR = 3_600 * SECOND
CHANCE = "scalekit.ratelimit.sqlalchemy._operations.chance"


# -- statements ------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_call_is_at_most_two_statements(world, algorithm):
    """One reads, and one writes what was consumed; a denial and a peek write nothing."""
    world.call("create_all")
    lock = "SELECT" if "sqlite" in world.kind else "WITH"
    write = "INSERT" if "sqlite" in world.kind else "UPDATE"
    plan = quota("3/h; 50/d", algorithm)
    told = ("k", plan, 1, IGNORED)
    assert world.took("peek", *told) == ["SELECT"]
    for _ in range(3):  # the first makes the row
        assert world.took("hit", *told) == [lock, write]
    assert world.took("hit", *told) == [lock]
    assert world.took("hit", "other", plan, 4, IGNORED) == [lock]
    assert world.took("peek", *told) == ["SELECT"]
    assert world.took("refund", *told) == ["SELECT", "UPDATE"]
    assert world.took("refund", "unknown", plan, 1, IGNORED) == ["SELECT"]
    assert world.took("reset", "k") == ["DELETE"]
    assert world.rows() == 0, "neither a denial nor a refund leaves a row"


@pytest.mark.parametrize("kind", REMOTE)
def test_a_denial_leaves_the_row_as_it_is(world):
    """Not even a new version of the same: those who are blocked hit most."""
    plan = quota("1/h")
    world.hit("k", plan)
    before = world.sql("SELECT ctid, state FROM TABLE_")
    for _ in range(3):
        assert not world.hit("k", plan).allowed
    assert world.sql("SELECT ctid, state FROM TABLE_") == before


# -- time ------------------------------------------------------------------------------------------


def test_time_is_the_databases_whatever_the_caller_says(world):
    plan = quota("2/h")
    assert world.call("hit", "k", plan, 1, 1 << 60) == Verdict(True, (0,), (1,), (HOUR,))
    assert world.call("hit", "k", plan, 1, -(1 << 60)).remaining == (0,)
    denied = world.call("hit", "k", plan, 1, 1 << 61)
    assert not denied.allowed
    assert 0 < denied.retry[0] <= HOUR
    assert not world.call("peek", "k", plan, 1, 1 << 61).allowed
    world.passes(HOUR)
    assert world.call("hit", "k", plan, 1, IGNORED).allowed


def test_callers_an_hour_apart_share_one_count(world):
    face = AsyncRateLimiter if world.is_async else RateLimiter
    clocks = [lambda skew=skew: time.monotonic() + skew for skew in (0, 3_600, -3_600)]
    limiters = [face("5/m", store=world.store, name="skewed", clock=clock) for clock in clocks]
    admitted = [world.driver(limiter.hit, "k").allowed for _ in range(4) for limiter in limiters]
    assert admitted == [True] * 5 + [False] * 7


@pytest.mark.parametrize("kind", REMOTE)
def test_the_databases_clock_is_the_wall_clock(world):
    readings = []
    inner = world.store._operations.clock

    def clock(told):
        readings.append((told, inner(told)))
        return inner(told)

    world.store._operations.clock = clock
    world.hit()
    world.hit()
    (first, known), (second, _) = readings
    assert first == known < second
    assert abs(second / 1e6 - time.time()) < 60


# -- the table -------------------------------------------------------------------------------------


def test_expired_rows_are_taken_away_by_hits(world, monkeypatch):
    plan = quota("5/s")
    for i in range(70):
        world.hit(f"old{i}", plan)
    world.hit("lasting", quota("5/d"))
    world.passes(10 * SECOND)
    world.hit("new", plan)
    assert world.rows() == 72
    monkeypatch.setattr(CHANCE, lambda: 0.0)
    world.hit("new", plan)
    assert world.rows() == 72 - 64
    world.hit("new", plan)
    assert world.rows() == 2
    assert world.peek("lasting", quota("5/d")).remaining == (4,)


def test_they_are_without_being_asked(world, monkeypatch):
    """By chance alone, fewer rows are left over than were hit."""
    monkeypatch.undo()
    plan = quota("5/s")
    for i in range(400):
        world.hit(f"k{i}", plan)
        world.passes(3 * SECOND) if i % 100 == 99 else None
    assert world.rows() < 400


def test_a_sweep_that_fails_is_no_fault_of_the_hit(world, monkeypatch):
    monkeypatch.setattr(CHANCE, lambda: 0.0)
    world.store._operations._sql.sweep = "DELETE FROM nowhere"
    assert world.hit().remaining == (999, 4_999)
    assert world.hit().remaining == (998, 4_998)


@pytest.mark.parametrize("kind", REMOTE)
def test_a_table_is_durable_unless_it_is_said_to_be_unlogged(world):
    persistence = "SELECT relpersistence::text FROM pg_class WHERE relname = 'TABLE_'"
    world.call("create_all")
    assert world.sql(persistence) == [("p",)]
    world.sql("DROP TABLE TABLE_")
    world.store = world.new_store(unlogged=True)
    assert world.hit().allowed  # which makes it
    world.call("create_all")
    assert world.sql(persistence) == [("u",)]


def test_the_longest_name_of_a_table(world):
    world.table = "x" * 63
    world.store = world.new_store()
    world.call("create_all")
    world.call("create_all")
    assert world.hit().allowed
    assert list(world.store.metadata.tables) == ["x" * 63]


def test_both_faces_share_a_table(tmp_path, postgres_url, key_prefix):
    for sync, asynchronous in (
        (f"sqlite:///{tmp_path}/limits.db", f"sqlite+aiosqlite:///{tmp_path}/limits.db"),
        (postgres_url, postgres_url.replace("psycopg", "asyncpg")),
    ):
        engine, async_engine, key = create_engine(sync), create_async_engine(asynchronous), key_prefix + "k"
        with Driver() as driver:
            threads = RateLimiter("3/h", store=SQLAlchemyRateLimitStore(engine))
            tasks = AsyncRateLimiter("3/h", store=AsyncSQLAlchemyRateLimitStore(async_engine))
            assert threads.hit(key).remaining == 2
            assert driver(tasks.hit, key).remaining == 1
            assert threads.hit(key).remaining == 0
            assert not driver(tasks.hit, key)
            driver(tasks.reset, key)
            assert threads.peek(key).remaining == 3
            driver(async_engine.dispose)
        engine.dispose()


def test_a_row_that_cannot_be_read_is_an_error_and_no_verdict(world):
    world.hit()
    world.sql("UPDATE TABLE_ SET state = :state", state=b"?")
    for call in (world.hit, world.peek, world.refund):
        with pytest.raises(BackendError, match="no packed state"):
            call()
    assert world.sql("SELECT state FROM TABLE_") == [(b"?",)]
    world.call("reset", "k")
    assert world.hit().allowed


# -- engines ---------------------------------------------------------------------------------------


def test_an_engine_that_begins_by_itself(tmp_path):
    """The recipe of SQLAlchemy's documentation for savepoints and serializable isolation on SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path}/limits.db", connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    store = SQLAlchemyRateLimitStore(engine)
    for left in (999, 998):
        assert store.hit("k", MANY, 1, IGNORED).remaining[0] == left
    other = create_engine(f"sqlite:///{tmp_path}/limits.db", connect_args={"timeout": 0})
    locked = []

    def clock(_):
        with pytest.raises(Exception, match="locked") as caught, other.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        locked.append(caught.value)
        return 1

    store._operations.clock = clock
    store.hit("k", MANY, 1, IGNORED)
    assert len(locked) == 1
    other.dispose()
    engine.dispose()


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_an_engine_with_an_isolation_level(tmp_path, postgres_url, level):
    for url in (f"sqlite:///{tmp_path}/limits.db", postgres_url):
        engine = create_engine(url, isolation_level=level)
        store = SQLAlchemyRateLimitStore(engine, table=f"limits_{level.lower()}")
        for left in (999, 998):
            assert store.hit("k", MANY, 1, IGNORED).remaining[0] == left
        store.refund("k", MANY, 1, IGNORED)
        assert store.peek("k", MANY, 1, IGNORED).remaining[0] == 999
        if level == "SERIALIZABLE":  # drivers never say AUTOCOMMIT
            with engine.connect() as connection:
                assert connection.get_isolation_level() == level, "it is the engine's still"
        engine.dispose()


@pytest.mark.parametrize("kind", ["aiosqlite", "async psycopg", "asyncpg"])
def test_one_store_in_two_event_loops_in_turn(kind, url, key_prefix):
    options = {"poolclass": StaticPool} if kind == "aiosqlite" else {}
    engine = create_async_engine(url, **options)
    store = AsyncSQLAlchemyRateLimitStore(engine, timeout="20s")

    async def work():
        assert (await store.hit(key_prefix, quota("100/h"), 1, IGNORED)).allowed

    for left in (95, 90):
        with Driver() as driver:
            driver.concurrently([work] * 5)
            assert driver(store.peek, key_prefix, quota("100/h"), 1, IGNORED).remaining == (left,)
            driver(engine.dispose)


SYNC, ASYNC = SQLAlchemyRateLimitStore, AsyncSQLAlchemyRateLimitStore


def sync():
    return create_engine("sqlite:///never.db")


def async_():
    return create_async_engine("sqlite+aiosqlite:///never.db")


@pytest.mark.parametrize(
    ("store", "engine", "options", "complaint"),
    [
        (
            SYNC,
            async_,
            {},
            "AsyncSQLAlchemyRateLimitStore takes",
        ),
        (ASYNC, sync, {}, "SQLAlchemyRateLimitStore takes an Engine"),
        (SYNC, lambda: "sqlite://", {}, "expected engine as an Engine"),
        (ASYNC, lambda: None, {}, "expected engine as an AsyncEngine"),
        (SYNC, sync, {"table": "a; DROP TABLE b"}, "expected table"),
        (SYNC, sync, {"timeout": 0}, "expected timeout > 0"),
        (
            ASYNC,
            async_,
            {"breaker_failures": 0},
            "breaker_failures",
        ),
    ],
)
def test_what_makes_no_sense(store, engine, options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        store(engine(), **options)


def test_a_quota_beyond_a_row_is_refused_and_no_connection_taken_for_it(world):
    plan = quota("100001/d", "sliding-log")
    for call in (world.hit, world.peek):
        with pytest.raises(ConfigurationError, match="100000"):
            call("k", plan)
    assert world.hit().allowed


@pytest.mark.parametrize("absent", ["sqlalchemy", "greenlet"])
def test_without_its_package_a_name_says_what_to_install(absent):
    name = "AsyncSQLAlchemyRateLimitStore"
    program = f"""
from scalekit.ratelimit.sqlalchemy import {name}
from scalekit.errors import MissingExtra
try:
    {name}(None)
except MissingExtra as error:
    print(json.dumps(str(error)))
"""
    assert run_without({absent}, program) == f"{name} needs {absent}: pip install 'scaleblocks[sqlalchemy]'"
