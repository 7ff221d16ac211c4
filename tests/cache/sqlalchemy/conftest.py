from __future__ import annotations

import gc
import logging
import sqlite3
import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from scalekit.cache import Entry, Snapshot
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver

KINDS = ["sqlite", "psycopg", "aiosqlite", "async psycopg", "asyncpg"]
NOW = 1_000.0
SLOT = place("shop:k", "shop:", "shop:t")


def _as_it_comes(connection, _record):
    """Give SQLite the limit that it is released with, which Debian raises to 250,000."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)


class WallClock:
    """A wall clock to set, also back."""

    def __init__(self):
        self.reading = 1_700_000_000.0

    def __call__(self):
        return self.reading

    def advance(self, seconds):
        self.reading = round(self.reading + seconds, 6)


class World:
    """One store on a table of its own, sync or async, its clock, and the statements that it sends."""

    def __init__(self, driver, kind, url):
        self.driver, self.kind, self.url = driver, kind, url
        self.is_async = kind not in {"sqlite", "psycopg"}
        self.table = f"cache_{uuid.uuid4().hex}"
        self.clock = WallClock()
        self.sent: list[str] = []
        self.engines = []
        self.engine = self.new_engine()
        self.store = self.new_store()

    def new_engine(self, **options):
        made = (create_async_engine if self.is_async else create_engine)(self.url, **options)
        self.engines.append(made)
        sync = made.sync_engine if self.is_async else made
        event.listen(sync, "before_cursor_execute", lambda *args: self.sent.append(args[2]))
        if self.kind == "sqlite":
            event.listen(sync, "connect", _as_it_comes)
        return made

    def new_store(self, engine=None, **options):
        make = AsyncSQLAlchemyCacheStore if self.is_async else SQLAlchemyCacheStore
        settings = {"table": self.table, "wall_clock": self.clock, "timeout": "20s"} | options
        return make(engine or self.engine, **settings)

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

    def put(self, value, *, slot=SLOT, ttl=60.0, snapshot=None, **times):
        return self.call("write", slot, Entry(value, expires=NOW + ttl, **times), snapshot, NOW)

    def read(self, slot=SLOT):
        return self.call("read", slot, NOW)

    def value(self, slot=SLOT):
        found = self.read(slot)
        assert isinstance(found, Entry), found
        return found.value

    def missed(self, slot=SLOT):
        found = self.read(slot)
        assert isinstance(found, Snapshot), found
        return found

    def took(self, name, *args):
        """Return the first words of the statements that a call sends."""
        self.sent.clear()
        self.call(name, *args)
        return [statement.split()[0] for statement in self.sent]

    def rows(self):
        return self.sql("SELECT count(*) FROM TABLE_")[0][0]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def url(kind, request, tmp_path):
    if "sqlite" in kind:
        return f"sqlite{'+aiosqlite' if kind == 'aiosqlite' else ''}:///{tmp_path}/cache.db"
    url = request.getfixturevalue("postgres_url")
    return url.replace("psycopg", "asyncpg") if kind == "asyncpg" else url


@pytest.fixture(autouse=True)
def no_sweep(monkeypatch):
    """Leave it to each test when a write cleans up: by chance it would send more statements."""
    monkeypatch.setattr("scalekit.cache.sqlalchemy._operations.chance", lambda: 1.0)


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


def loses(test):
    """Mark a test that cancels calls: drivers and SQLAlchemy 2.0 lose connections then, not ours to close."""
    for mark in (
        pytest.mark.usefixtures("collected"),
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ):
        test = mark(test)
    return test


@pytest.fixture
def collected():
    """Collect what a test has lost when it is over, and not in somebody else's test.

    Nor shall the log keep it, whose records have the errors in them.
    """
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
    gc.collect()
