"""The SQL stores keep the contract of stores, on every database and driver."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from scalekit.cache import AsyncBatchCacheStore, AsyncLeasingCacheStore, BatchCacheStore, LeasingCacheStore
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore
from scalekit.testing import CacheStoreSuite


class SyncSuite(CacheStoreSuite):
    protocols = (BatchCacheStore, LeasingCacheStore)

    @pytest.fixture
    def store(self, engine):
        yield SQLAlchemyCacheStore(engine, timeout="20s")
        engine.dispose()


class AsyncSuite(CacheStoreSuite):
    protocols = (AsyncBatchCacheStore, AsyncLeasingCacheStore)

    @pytest.fixture
    def store(self, engine):
        return AsyncSQLAlchemyCacheStore(engine, timeout="20s")

    @pytest.fixture(autouse=True)
    def _disposed(self, _running, engine):
        yield
        self._probe.driver(engine.dispose)


class TestSQLiteFile(SyncSuite):
    @pytest.fixture
    def engine(self, tmp_path):
        return create_engine(f"sqlite:///{tmp_path}/cache.db", connect_args={"timeout": 20})


class TestSQLiteInMemory(SyncSuite):
    @pytest.fixture
    def engine(self):
        return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


class TestPsycopg(SyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_engine(postgres_url)


class TestAiosqliteFile(AsyncSuite):
    @pytest.fixture
    def engine(self, tmp_path):
        return create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/cache.db", connect_args={"timeout": 20})


class TestAiosqliteInMemory(AsyncSuite):
    @pytest.fixture
    def engine(self):
        return create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)


class TestAsyncPsycopg(AsyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_async_engine(postgres_url)


class TestAsyncpg(AsyncSuite):
    @pytest.fixture
    def engine(self, postgres_url):
        return create_async_engine(postgres_url.replace("psycopg", "asyncpg"))


class TestSerializablePostgres(SyncSuite):
    """Stricter than READ COMMITTED, statements fail when they get in each other's way, and are sent again."""

    @pytest.fixture
    def engine(self, postgres_url):
        options = "-c default_transaction_isolation=serializable"
        return create_engine(postgres_url, connect_args={"options": options})
