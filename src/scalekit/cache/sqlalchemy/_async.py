"""The store for event loops; twin of that in `_sync.py`.

It runs the same code, in a greenlet, as SQLAlchemy's own async classes do: one for each call.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from scalekit._extras import require
from scalekit.cache.sqlalchemy._clock import milliseconds
from scalekit.cache.sqlalchemy._leases import Leases, pauses
from scalekit.cache.sqlalchemy._record import key_name, tag_name
from scalekit.cache.sqlalchemy._statements import Statements, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine

    from scalekit._time import Clock, Duration
    from scalekit.cache._entry import Entry, Slot, Snapshot


class AsyncSQLAlchemyCacheStore:
    """`SQLAlchemyCacheStore` for asyncio: it takes an `AsyncEngine` for aiosqlite, psycopg or asyncpg.

    Its options have the same defaults. On PostgreSQL its `timeout` bounds the wait for a connection as well.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        table: str = "scalekit_cache",
        wall_clock: Clock | None = None,
        timeout: Duration = 1.0,
        breaker_failures: int = 3,
        breaker_reset: Duration = 1.0,
    ) -> None:
        require("sqlalchemy", extra="sqlalchemy", needed_by=type(self).__name__)
        from scalekit.cache.sqlalchemy._batches import BatchOperations  # noqa: PLC0415  # needs SQLAlchemy
        from scalekit.cache.sqlalchemy._table import table_of  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._async_caller import async_caller  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._database import Database  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._engine import async_sync_engine  # noqa: PLC0415  # as above

        self._database = Database(
            async_sync_engine(engine, store="AsyncSQLAlchemyCacheStore"),
            table=partial(table_of, table),
            level="AUTOCOMMIT",
            timeout=timeout,
            breaker_failures=breaker_failures,
            breaker_reset=breaker_reset,
        )
        clock = milliseconds(wall_clock, self._database.dialect)
        statements = Statements(self._database.name, self._database.dialect, self._database.mark)
        self._operations = BatchOperations(statements, clock)
        self._leases = Leases(statements, clock)
        self._call = async_caller(self._database)

    @property
    def metadata(self) -> MetaData:
        """The `MetaData` of the table, for migrations: one more of Alembic's `target_metadata`."""
        metadata: MetaData = self._database.table.metadata
        return metadata

    async def create_all(self) -> None:
        """Make the table if it is not there; see `SQLAlchemyCacheStore.create_all`."""
        await self._call("create_all", self._database.create)

    async def purge(self) -> int:
        """Take away what is over; see `SQLAlchemyCacheStore.purge`."""
        removed = 0
        hand: bytes | None = b""
        while hand is not None:
            hand, number = await self._call("purge", self._operations.purge, hand)
            removed += number
        return removed

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or a snapshot; see `CacheStore.read`."""
        found: Entry | Snapshot = await self._call("read", self._operations.read, slot, now)
        return found

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # the protocol
        """Return a snapshot for a load; see `CacheStore.begin`."""
        begun: Snapshot = await self._call("begin", self._operations.begin, slot, outdate)
        return begun

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` unless outdated; see `CacheStore.write`."""
        stored: bool = await self._call("write", self._operations.write, slot, entry, snapshot, now)
        return stored

    async def delete(self, keys: Sequence[str], /) -> None:
        """Remove entries and outdate running loads; see `CacheStore.delete`."""
        for names in pieces(map(key_name, keys)):
            await self._call("delete", self._operations.outdate, names)

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """End every entry that carries one of `tags`; see `CacheStore.invalidate`."""
        for names in pieces(map(tag_name, tags)):
            await self._call("invalidate", self._operations.outdate, names)

    async def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would; see `BatchCacheStore.read_many`."""
        found: list[Entry | Snapshot] = []
        if slots:
            found = await self._call("read_many", self._operations.read_many, slots, now)
        return found

    async def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: ARG002, FBT001  # as above
        """Return for each of `slots` what `begin` would; see `BatchCacheStore.begin_many`."""
        begun: list[Snapshot] = []
        if slots:
            begun = await self._call("begin_many", self._operations.begin_many, slots, outdate)
        return begun

    async def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would; see `BatchCacheStore.write_many`."""
        stored: list[bool] = []
        if writes:
            stored = await self._call("write_many", self._operations.write_many, writes, now)
        return stored

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take or renew the lease of `key`; see `LeasingCacheStore.acquire`."""
        got: bool = await self._call("acquire", self._leases.acquire, key, owner, seconds)
        return got

    async def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back; see `LeasingCacheStore.release`."""
        await self._call("release", self._leases.release, key, owner)

    async def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease is given back or ends; see `SQLAlchemyCacheStore.wait`."""
        ends = monotonic() + seconds
        for pause in pauses():
            left = ends - monotonic()
            life = await self._call("wait", self._leases.left, key) if left > 0 else 0.0
            if life <= 0:
                return
            await asyncio.sleep(min(pause, left, life))
