from __future__ import annotations

import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit.sqlalchemy import AsyncSQLAlchemyRateLimitStore, SQLAlchemyRateLimitStore
from scalekit.testing._driver import Driver

KINDS = ["sqlite", "psycopg", "aiosqlite", "async psycopg", "asyncpg"]
REMOTE = ["psycopg", "async psycopg", "asyncpg"]
IGNORED = -1  # the caller's clock
MANY = Quota(Limit.parse_many("1000/h; 5000/d"))


def quota(text, algorithm="sliding-window"):
    return Quota(Limit.parse_many(text), algorithm)


class World:
    """One store on a table of its own, sync or async, and the statements that it sends."""

    def __init__(self, driver, kind, url):
        self.driver, self.kind, self.url = driver, kind, url
        self.is_async = kind not in {"sqlite", "psycopg"}
        self.table = f"limits_{uuid.uuid4().hex}"
        self.sent: list[str] = []
        self.engines = []
        self.engine = self.new_engine()
        self.store = self.new_store()

    def new_engine(self, **options):
        made = (create_async_engine if self.is_async else create_engine)(self.url, **options)
        self.engines.append(made)
        sync = made.sync_engine if self.is_async else made
        event.listen(sync, "before_cursor_execute", lambda *args: self.sent.append(args[2]))
        return made

    def new_store(self, engine=None, **options):
        make = AsyncSQLAlchemyRateLimitStore if self.is_async else SQLAlchemyRateLimitStore
        return make(engine or self.engine, **({"table": self.table, "timeout": "20s"} | options))

    def close(self):
        self.driver(self.engine.dispose)  # connections to a server that was killed meanwhile
        self.sql("DROP TABLE IF EXISTS TABLE_")
        for engine in self.engines:
            self.driver(engine.dispose)

    def sql(self, statement, **parameters):
        """Run a statement beside the store; return its rows."""

        def run(connection):
            result = connection.execute(text(statement.replace("TABLE_", self.table)), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

        async def run_async():
            async with self.engine.begin() as connection:
                return await connection.run_sync(run)

        if self.is_async:
            return self.driver(run_async)
        with self.engine.begin() as connection:
            return run(connection)

    def call(self, name, *args):
        return self.driver(getattr(self.store, name), *args)

    def hit(self, key="k", plan=MANY, cost=1):
        return self.call("hit", key, plan, cost, IGNORED)

    def peek(self, key="k", plan=MANY, cost=1):
        return self.call("peek", key, plan, cost, IGNORED)

    def refund(self, key="k", plan=MANY, cost=1):
        self.call("refund", key, plan, cost, IGNORED)

    def took(self, name, *args):
        """Return the first words of the statements that a call sends, but of those that begin."""
        self.sent.clear()
        self.call(name, *args)
        return [words[0] for words in map(str.split, self.sent) if words[0] != "BEGIN"]

    def passes(self, microseconds):
        """Put the store's clock forward."""
        before = self.store._operations.clock
        self.store._operations.clock = lambda told: before(told) + microseconds

    def meanwhile(self, call):
        """Have `call` made once by the next hit, between what it reads and what it writes."""
        before = self.store._operations.clock

        def clock(told):
            self.store._operations.clock = before
            call()
            return before(told)

        self.store._operations.clock = clock

    def rows(self):
        return self.sql("SELECT count(*) FROM TABLE_")[0][0]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def url(kind, request, tmp_path):
    if "sqlite" in kind:
        return f"sqlite{'+aiosqlite' if kind == 'aiosqlite' else ''}:///{tmp_path}/limits.db"
    url = request.getfixturevalue("postgres_url")
    return url.replace("psycopg", "asyncpg") if kind == "asyncpg" else url


@pytest.fixture(autouse=True)
def no_sweep(monkeypatch):
    """Leave it to each test when a hit cleans up: by chance it would send more statements."""
    monkeypatch.setattr("scalekit.ratelimit.sqlalchemy._operations.chance", lambda: 1.0)


@contextmanager
def new_world(kind, url):
    with Driver() as driver:
        made = World(driver, kind, url)
        yield made
        made.close()


@pytest.fixture
def world(kind, url):
    with new_world(kind, url) as made:
        yield made
