"""A hit in SQL against the bare SELECT of one row: `python -m benchmarks.cache.sql`.

The SELECT is what one would write by hand: a prebuilt Core statement by primary key, through the same
engine, with a connection taken from the pool and given back; on PostgreSQL that is BEGIN, SELECT and
ROLLBACK, and ours is a SELECT in autocommit, so the same in autocommit is measured besides. Ours also checks
three tags, and returns the value as an object. All take turns in one process; a figure is the median of the
rounds.

PostgreSQL is started for the run from what the tests use, or is the one at DATABASE_URL.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, bindparam, column, create_engine, select, table
from sqlalchemy.ext.asyncio import create_async_engine

from scalekit.cache import AsyncCache, Cache, Entry, MsgspecSerializer, Slot
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore
from scalekit.cache.sqlalchemy._record import key_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROUNDS = 30
CALLS = 60
VALUE = {
    "id": 7,
    "name": "Ada Lovelace",
    "mail": "ada@example.org",
    "tags": ["maths", "engines"],
    "score": 0.97,
}
KEY = "bench:k"
SLOT = Slot(KEY, ("bench:", "bench:user:7", "bench:area:3"), MsgspecSerializer(Any))
ROW = table("scalekit_cache", column("name", LargeBinary), column("data", LargeBinary))
BARE = select(ROW.c.data).where(ROW.c.name == bindparam("name"))
PARAMETERS = {"name": key_name(KEY)}


def entry() -> Entry:
    return Entry(VALUE, expires=3_600.0)


def load(user_id: int) -> Any:
    return VALUE | {"id": user_id}


async def async_load(user_id: int) -> Any:
    return load(user_id)


def shown(title: str, seconds: dict[str, list[float]]) -> None:
    base = statistics.median(seconds["bare SELECT"])
    for name, each in seconds.items():
        took = statistics.median(each)
        sys.stdout.write(f"{title:26}{name:28}{took * 1e6:8.1f} us   x {took / base:.2f}\n")


def sync_figures(title: str, url: str) -> None:
    engine = create_engine(url)
    store = SQLAlchemyCacheStore(engine)
    store.write(SLOT, entry(), None, 0.0)
    cached = Cache(store, namespace="bench").cached(ttl=3_600, tags=["user:{user_id}", "area"])(load)
    cached(7)
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    def bare(engine: Any = engine) -> Any:
        with engine.connect() as connection:
            return connection.execute(BARE, PARAMETERS).scalar_one()

    calls: dict[str, Callable[[], Any]] = {
        "bare SELECT": bare,
        "bare SELECT, autocommit": lambda: bare(autocommit),
        "store.read, 3 tags": lambda: store.read(SLOT, 0.0),
        "cached function, 3 tags": lambda: cached(7),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            seconds[name].append((time.perf_counter() - started) / CALLS)
    shown(title, seconds)
    engine.dispose()


async def async_figures(title: str, url: str) -> None:
    engine = create_async_engine(url)
    store = AsyncSQLAlchemyCacheStore(engine)
    await store.write(SLOT, entry(), None, 0.0)

    cached = AsyncCache(store, namespace="bench").cached(ttl=3_600, tags=["user:{user_id}", "area"])(
        async_load
    )
    await cached(7)

    async def bare() -> Any:
        async with engine.connect() as connection:
            return (await connection.execute(BARE, PARAMETERS)).scalar_one()

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "bare SELECT": bare,
        "store.read, 3 tags": lambda: store.read(SLOT, 0.0),
        "cached function, 3 tags": lambda: cached(7),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            await call()
            started = time.perf_counter()
            for _ in range(CALLS):
                await call()
            seconds[name].append((time.perf_counter() - started) / CALLS)
    shown(title, seconds)
    await engine.dispose()


@contextmanager
def postgres() -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    from tests.servers.postgres import PostgresServer, preferred  # noqa: PLC0415  # only where none is given

    server = PostgresServer(preferred())
    server.start()
    try:
        yield server.url()
    finally:
        server.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/cache.db"
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        engine.dispose()
        sync_figures("SQLite, file", f"sqlite:///{path}")
        asyncio.run(async_figures("SQLite, aiosqlite", f"sqlite+aiosqlite:///{path}"))
    with postgres() as url:
        sync_figures("PostgreSQL, psycopg", url)
        asyncio.run(async_figures("PostgreSQL, psycopg async", url))
        asyncio.run(async_figures("PostgreSQL, asyncpg", url.replace("psycopg", "asyncpg")))


if __name__ == "__main__":
    main()
