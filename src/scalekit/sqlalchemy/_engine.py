"""Which engines a store can use, and what must not happen at the same time on one of them."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.sqlalchemy._dialect import DRIVERS, KNOWN, OLDEST_SQLITE, SQLITE

if TYPE_CHECKING:
    from scalekit.sqlalchemy._dialect import Dialect


def sync_engine(engine: object, *, store: str) -> Engine:
    """Return `engine` if threads can use it; `ConfigurationError`, naming `store`'s twin, for async ones."""
    # By name: an isinstance check would import asyncio where nothing async is.
    is_async = any(base.__name__ == "AsyncEngine" for base in type(engine).__mro__)
    if is_async or (isinstance(engine, Engine) and engine.dialect.is_async):
        raise ConfigurationError("engine", engine, f"as a sync Engine: Async{store} takes an AsyncEngine")
    if not isinstance(engine, Engine):
        raise ConfigurationError("engine", engine, "as an Engine, from create_engine()")
    return engine


def async_sync_engine(engine: object, *, store: str) -> Engine:
    """Return the sync engine inside an `AsyncEngine`, which runs in greenlets; else `MissingExtra`."""
    # SQLAlchemy 2.1 comes without it, and would miss it only at the first query.
    require("greenlet", extra="sqlalchemy", needed_by=store)
    from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415  # loads asyncio

    if isinstance(engine, Engine):
        twin = store.removeprefix("Async")
        raise ConfigurationError("engine", engine, f"as an AsyncEngine: {twin} takes an Engine")
    if not isinstance(engine, AsyncEngine):
        raise ConfigurationError("engine", engine, "as an AsyncEngine, from create_async_engine()")
    return engine.sync_engine


def dialect_of(engine: Engine) -> tuple[Dialect, str]:
    """Return the database of `engine`, and what stands for a parameter in its SQL."""
    known = DRIVERS.get(engine.dialect.driver)
    if known is None or known[0].name != engine.dialect.name:
        found = f"{engine.dialect.name}+{engine.dialect.driver}"
        raise ConfigurationError("engine", found, f"for {KNOWN}")
    if known[0] is SQLITE:
        dbapi: Any = engine.dialect.loaded_dbapi
        if dbapi.sqlite_version_info < OLDEST_SQLITE:
            oldest = ".".join(map(str, OLDEST_SQLITE))
            raise ConfigurationError("engine", f"SQLite {dbapi.sqlite_version}", f"on SQLite >= {oldest}")
    return known


def turn_of(engine: Engine) -> AbstractContextManager[object]:
    """Return what an operation must hold while it uses a connection of `engine`.

    Where one connection serves all, two operations at once would share a transaction, and the one that gives
    the connection back would undo what the other has not committed yet. `ConfigurationError` where each
    connection would find a database of its own.
    """
    pool, url = engine.pool, engine.url
    if isinstance(pool, StaticPool):
        return _turns.setdefault(pool, _LoopLock() if engine.dialect.is_async else threading.RLock())
    where = url.database or ":memory:"
    in_memory = where == ":memory:" or "memory" in (url.query.get("mode"), where.rpartition("mode=")[2])
    shared = "shared" in (url.query.get("cache"), where.rpartition("cache=")[2])
    if engine.dialect.name != "sqlite" or not in_memory or shared:
        return nullcontext()
    if isinstance(pool, SingletonThreadPool):
        return _OneThread(engine)
    raise ConfigurationError(
        "engine",
        engine,
        "of the store's own with poolclass=StaticPool: else each connection has another database",
    )


class _OneThread:
    """Lets only the first thread pass: each has its own database, where nothing arrives from others."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread: int | None = None

    def __enter__(self) -> None:
        """Raise `ConfigurationError` in any thread but the first."""
        if self._thread is None:
            self._thread = threading.get_ident()
        if self._thread != threading.get_ident():
            raise ConfigurationError(
                "engine",
                self._engine,
                "of the store's own with poolclass=StaticPool and connect_args={'check_same_thread': False}:"
                " else each thread has another database in memory",
            )

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


class _LoopLock:
    """A lock for tasks, taken in the greenlets in which SQLAlchemy runs; one for each event loop."""

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def __enter__(self) -> None:
        """Take it, and let other tasks run until then."""
        from asyncio import Lock, get_running_loop  # noqa: PLC0415  # threads can spare it

        from sqlalchemy.util import await_only  # noqa: PLC0415  # as above

        lock = self._locks.setdefault(get_running_loop(), Lock())
        await_only(lock.acquire())

    def __exit__(self, *_: object) -> None:
        """Give it to the next."""
        from asyncio import get_running_loop  # noqa: PLC0415  # as above

        self._locks[get_running_loop()].release()


_turns: WeakKeyDictionary[Any, AbstractContextManager[object]] = WeakKeyDictionary()
