"""The store for event loops; twin of that in `_sync.py`.

It runs the same code, in a greenlet, as SQLAlchemy's own async classes do: one for each call.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scalekit._extras import require

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine

    from scalekit._time import Duration
    from scalekit.ratelimit._quota import Quota, Verdict


class AsyncSQLAlchemyRateLimitStore:
    """`SQLAlchemyRateLimitStore` for asyncio: it takes an `AsyncEngine` for aiosqlite, psycopg or asyncpg.

    Its options have the same defaults, and the two may share a table. On PostgreSQL its `timeout` bounds the
    wait for a connection as well. A call that is cancelled may or may not have consumed its cost.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        table: str = "scalekit_ratelimit",
        unlogged: bool = False,
        timeout: Duration = 1.0,
        breaker_failures: int = 3,
        breaker_reset: Duration = 1.0,
    ) -> None:
        require("sqlalchemy", extra="sqlalchemy", needed_by=type(self).__name__)
        from scalekit.ratelimit.sqlalchemy._operations import Operations  # noqa: PLC0415  # needs SQLAlchemy
        from scalekit.ratelimit.sqlalchemy._statements import Statements  # noqa: PLC0415  # as above
        from scalekit.ratelimit.sqlalchemy._table import table_of  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._async_caller import async_caller  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._database import Database  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._engine import async_sync_engine  # noqa: PLC0415  # as above

        self._database = Database(
            async_sync_engine(engine, store="AsyncSQLAlchemyRateLimitStore"),
            table=partial(table_of, table, unlogged),
            level="READ COMMITTED",
            timeout=timeout,
            breaker_failures=breaker_failures,
            breaker_reset=breaker_reset,
        )
        statements = Statements(self._database.name, self._database.dialect, self._database.mark)
        self._operations = Operations(statements, self._database.dialect.name)
        self._call = async_caller(self._database)

    @property
    def metadata(self) -> MetaData:
        """The `MetaData` of the table, for migrations: one more of Alembic's `target_metadata`."""
        metadata: MetaData = self._database.table.metadata
        return metadata

    async def create_all(self) -> None:
        """Make the table if it is not there; see `SQLAlchemyRateLimitStore.create_all`."""
        await self._call("create_all", self._database.create)

    async def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        verdict: Verdict = await self._call("hit", self._operations.hit, key, quota, cost)
        return verdict

    async def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        verdict: Verdict = await self._call("peek", self._operations.peek, key, quota, cost)
        return verdict

    async def refund(self, key: str, quota: Quota, cost: int, _now: int, /) -> None:
        """Take back the newest `cost` units of `key`."""
        await self._call("refund", self._operations.refund, key, quota, cost)

    async def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        await self._call("reset", self._operations.reset, key)
