"""The store for threads; `_async.py` has its twin."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scalekit._extras import require

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData

    from scalekit._time import Duration
    from scalekit.ratelimit._quota import Quota, Verdict


class SQLAlchemyRateLimitStore:
    """Keeps what each key consumed in a table of SQLite or PostgreSQL (psycopg), exactly, for all processes.

    `engine` is from `create_engine()`. The table, by the name of `table` ("scalekit_ratelimit" by default),
    is made when it is first missed, by `create_all()`, or by migrations from `metadata`. It has a row per
    key, with all its limits under any algorithm. `unlogged` (default False) makes it UNLOGGED on
    PostgreSQL: hits are cheaper, and a crash or a failover empties it.

    * Time is the database server's, in microseconds, never the caller's; for SQLite it is the machine's.
    * `timeout`, on PostgreSQL, bounds each call once it has a connection (default 1 second): a server that
      does not answer by then, or a row that somebody holds, is a `BackendTimeout`. Until it has one the
      engine's own limits count: `pool_timeout`, and the driver's `connect_timeout` (2 seconds where nothing
      is said); on SQLite, the driver's `timeout` for a file that is locked.
    * After `breaker_failures` calls in a row without an answer (default 3) none is made for `breaker_reset`
      (default 1 second); then one tries.

    A hit is at most two statements in one transaction, which holds the row (on SQLite: the file): one reads,
    and one writes if the hit is admitted. A peek and a reset are one. One admitted hit in 32 also
    removes up to 64 rows that have expired. Hits on one key wait for each other, those on others do not.

    A limit under "sliding-log" may be at most 100,000 units; more is a `ConfigurationError` of the call. One
    of the constructor is another engine, a name that is none, and SQLite in memory where threads would find
    different databases.

    Worst case: a database that fails raises `BackendError`, with the driver's own error as cause; whether
    the cost was consumed is then unknown. What a crash or a failover loses was never consumed: a key may
    then be admitted up to twice its limit in a window. When a key's algorithm changes, the old one
    applies to it while anything counts that it has admitted.
    """

    def __init__(
        self,
        engine: Engine,
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
        from scalekit.sqlalchemy._caller import caller  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._database import Database  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._engine import sync_engine  # noqa: PLC0415  # as above

        self._database = Database(
            sync_engine(engine, store="SQLAlchemyRateLimitStore"),
            table=partial(table_of, table, unlogged),
            level="READ COMMITTED",
            timeout=timeout,
            breaker_failures=breaker_failures,
            breaker_reset=breaker_reset,
        )
        statements = Statements(self._database.name, self._database.dialect, self._database.mark)
        self._operations = Operations(statements, self._database.dialect.name)
        self._call = caller(self._database)

    @property
    def metadata(self) -> MetaData:
        """The `MetaData` of the table, for migrations: one more of Alembic's `target_metadata`."""
        metadata: MetaData = self._database.table.metadata
        return metadata

    def create_all(self) -> None:
        """Make the table if it is not there; several processes may do it at the same time."""
        self._call("create_all", self._database.create)

    def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        verdict: Verdict = self._call("hit", self._operations.hit, key, quota, cost)
        return verdict

    def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        verdict: Verdict = self._call("peek", self._operations.peek, key, quota, cost)
        return verdict

    def refund(self, key: str, quota: Quota, cost: int, _now: int, /) -> None:
        """Take back the newest `cost` units of `key`."""
        self._call("refund", self._operations.refund, key, quota, cost)

    def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        self._call("reset", self._operations.reset, key)
