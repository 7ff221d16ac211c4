"""The SQL stores against the suite, on every database and driver: told the time, and by their own clock."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from scalekit.testing import RateLimitStoreSuite
from tests.ratelimit.sqlalchemy.stores import AsyncOwnTime, AsyncToldTime, OwnTime, ToldTime

WAITING = {"connect_args": {"timeout": 60}}


def unsynced(engine):
    """Have SQLite wait for no disk: the tests write ten thousand times."""
    event.listen(
        getattr(engine, "sync_engine", engine), "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF")
    )
    return engine


class SyncSuite(RateLimitStoreSuite):
    @pytest.fixture
    def store(self, engine):
        yield ToldTime(engine, timeout="60s")
        engine.dispose()


class AsyncSuite(RateLimitStoreSuite):
    @pytest.fixture
    def store(self, engine):
        return AsyncToldTime(engine, timeout="60s")

    @pytest.fixture(autouse=True)
    def _disposed(self, _running, engine):
        yield
        self._driver(engine.dispose)


class OnPostgres:
    @pytest.fixture(autouse=True)
    def _prefix(self, key_prefix):
        self.prefix = key_prefix

    def _key(self):
        return self.prefix + super()._key()


class TestSQLiteFile(SyncSuite):
    @pytest.fixture
    def engine(self, tmp_path):
        return unsynced(create_engine(f"sqlite:///{tmp_path}/limits.db", **WAITING))


class TestSQLiteInMemory(SyncSuite):
    @pytest.fixture
    def engine(self):
        return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


class TestPsycopg(OnPostgres, SyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_engine(postgres_url)


class TestAiosqliteFile(AsyncSuite):
    @pytest.fixture
    def engine(self, tmp_path):
        return unsynced(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/limits.db", **WAITING))


class TestAsyncPsycopg(OnPostgres, AsyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_async_engine(postgres_url)


class TestAsyncpg(OnPostgres, AsyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_async_engine(postgres_url.replace("psycopg", "asyncpg"))


class TestSerializablePostgres(OnPostgres, SyncSuite):
    """The store says itself how its transactions are isolated."""

    @pytest.fixture
    def engine(self, postgres_url):
        options = "-c default_transaction_isolation=serializable"
        return create_engine(postgres_url, connect_args={"options": options})


class Passing(RateLimitStoreSuite):
    """By the database's own clock, which the tests put forward; an hour of theirs takes no time."""

    window = 3_600_000_000
    slack = 60_000_000

    def advance(self, microseconds):
        super().advance(microseconds)
        self._store.passed += microseconds


class TestSQLiteOwnTime(Passing):
    @pytest.fixture
    def store(self, tmp_path):
        engine = unsynced(create_engine(f"sqlite:///{tmp_path}/limits.db", **WAITING))
        yield OwnTime(engine)
        engine.dispose()


class TestPsycopgOwnTime(OnPostgres, Passing):
    @pytest.fixture
    def store(self, postgres_url):
        engine = create_engine(postgres_url)
        yield OwnTime(engine, timeout="60s")
        engine.dispose()


class TestAsyncpgOwnTime(OnPostgres, Passing):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_async_engine(postgres_url.replace("psycopg", "asyncpg"))

    @pytest.fixture
    def store(self, engine):
        return AsyncOwnTime(engine, timeout="60s")

    @pytest.fixture(autouse=True)
    def _disposed(self, _running, engine):
        yield
        self._driver(engine.dispose)
