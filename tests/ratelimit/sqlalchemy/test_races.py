"""Several at once on one key: the row is held between what a hit reads and what it writes."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit.sqlalchemy import _row
from tests.ratelimit.sqlalchemy.conftest import IGNORED, MANY
from tests.servers.lifeline import wait_until

PROCESS = """
import sys, time
from sqlalchemy import create_engine
from scalekit.ratelimit import RateLimiter
from scalekit.ratelimit.sqlalchemy import SQLAlchemyRateLimitStore

url, table, skew = sys.argv[1:]
engine = create_engine(url, connect_args={"timeout": 60} if url.startswith("sqlite") else {})
limiter = RateLimiter(
    "240/h", "1000/d", store=SQLAlchemyRateLimitStore(engine, table=table, timeout="60s"),
    clock=lambda: time.monotonic() + int(skew), name="race", on_error="raise",
)
limiter.peek("k")
print("ready", flush=True)
sys.stdin.readline()
print(sum(limiter.hit("k").allowed for _ in range(60)), flush=True)
sys.stdin.readline()
print(limiter.peek("k").states[1].remaining)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_eight_processes_whose_clocks_differ_admit_exactly_the_limit(world):
    """None more, none lost from the other limit, and the table made by whoever comes first."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, world.url, world.table, str(3_600 * (n % 3 - 1))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    told = [[process.stdout.readline() for process in processes]]
    for _ in range(2):
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        told.append([process.stdout.readline() for process in processes])
    for process in processes:
        process.communicate(timeout=30)
    ready, admitted, remaining = told
    assert ready == ["ready\n"] * 8
    assert sum(map(int, admitted)) == 240
    assert set(map(int, remaining)) == {760}


class Beside:
    """Another connection to the database, which waits for nobody."""

    def __init__(self, world):
        self.table = world.table
        self.key = _row.stored_key("k")
        url = world.url.replace("aiosqlite", "pysqlite").replace("asyncpg", "psycopg")
        self.is_file = url.startswith("sqlite")
        self.engine = create_engine(url, connect_args={"timeout": 0} if self.is_file else {})
        self.refusals = []

    def tries(self, statement):
        """Take note of the error that the statement ends with, or of None."""
        try:
            with self.engine.begin() as connection:
                if not self.is_file:
                    connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
                connection.execute(text(statement.replace("TABLE_", self.table)), {"key": self.key})
        except DBAPIError as error:
            self.refusals.append(str(error.orig))
        else:
            self.refusals.append(None)


@pytest.fixture
def beside(world):
    made = Beside(world)
    yield made
    made.engine.dispose()


MAKES = "INSERT INTO TABLE_ (key, state, expires) VALUES (:key, '', 0) ON CONFLICT (key) DO NOTHING"
CHANGES = "UPDATE TABLE_ SET expires = 0 WHERE key = :key"
REMOVES = "DELETE FROM TABLE_ WHERE key = :key"


@pytest.mark.parametrize(
    ("call", "statement"),
    [("hit", CHANGES), ("hit", REMOVES), ("hit", MAKES), ("refund", CHANGES), ("refund", REMOVES)],
)
def test_a_row_is_held_from_reading_to_writing(world, beside, call, statement):
    world.call("create_all")
    if statement != MAKES:
        world.hit()
    world.meanwhile(lambda: beside.tries(statement))
    getattr(world, call)()
    [refusal] = beside.refusals
    assert refusal is not None, "somebody could come between"
    assert "lock" in refusal


def test_a_denied_hit_holds_nothing_when_it_is_over(world, beside):
    one = Quota([Limit(1, "1h")])
    world.hit("k", one)
    assert not world.hit("k", one).allowed
    beside.tries(CHANGES)
    assert beside.refusals == [None]


@pytest.mark.parametrize("kind", ["psycopg"])
def test_hits_on_other_keys_do_not_wait(world):
    world.hit("other")
    store = world.new_store(timeout="5s")
    world.meanwhile(lambda: [store.hit(key, MANY, 1, IGNORED) for key in ("other", "new")])
    assert world.hit().allowed
    assert world.peek("other").remaining == (998, 4_998)


WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%TABLE_%'"
NOW = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@pytest.mark.parametrize("kind", ["psycopg"])
@pytest.mark.parametrize("known", [False, True], ids=["new key", "known key"])
def test_the_clock_is_read_after_the_wait_for_the_row(world, known):
    """By the time at which it began to wait, a hit would count as older than the one it waited for."""
    world.call("create_all")
    if known:
        world.hit()
    store, readings, ended = world.new_store(), [], []
    own = store._operations.clock
    store._operations.clock = lambda told: readings.append(told) or own(told)
    thread = threading.Thread(target=store.hit, args=("k", MANY, 1, IGNORED))

    def waited_for():
        thread.start()
        wait_until(lambda: world.sql(WAITING), "the other hit waits")
        ended.extend(world.sql(NOW)[0])

    world.meanwhile(waited_for)
    world.hit()
    thread.join(30)
    assert readings[0] > ended[0]


@pytest.mark.parametrize("kind", ["psycopg"])
def test_a_sweep_waits_for_nobody(world, monkeypatch):
    """A row that has expired, and is being hit right now, is neither waited for nor lost."""
    plan, left = Quota([Limit(5, "1s")]), []
    world.hit("k", plan)
    world.hit("old", plan)
    world.passes(10_000_000)
    other = world.new_store(timeout="5s")
    other._operations.clock = world.store._operations.clock
    monkeypatch.setattr("scalekit.ratelimit.sqlalchemy._operations.chance", lambda: 0.0)

    def swept():
        other.hit("another", plan, 1, IGNORED)
        left.extend(world.sql("SELECT key FROM TABLE_"))

    world.meanwhile(swept)
    assert world.hit("k", plan).remaining == (4,)
    assert world.peek("k", plan).remaining == (4,)
    assert sorted(left) == [(b"another",), (b"k",)]
