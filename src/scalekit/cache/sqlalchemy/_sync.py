"""The store for threads; `_async.py` has its twin."""

from __future__ import annotations

import time
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

    from sqlalchemy import Engine, MetaData

    from scalekit._time import Clock, Duration
    from scalekit.cache._entry import Entry, Slot, Snapshot


class SQLAlchemyCacheStore:
    """Keeps values in a table of SQLite or PostgreSQL (psycopg), shared by all processes that use it.

    `engine` is from `create_engine()`. The table, by the name of `table` ("scalekit_cache" by default), is
    made when it is first missed, by `create_all()`, or by migrations from `metadata`. On PostgreSQL it is
    UNLOGGED: empty after a crash, and on a standby that takes over. That costs loads, and keeps what a crash
    undoes from coming back.

    * Time is the database server's, and `time.time` for SQLite, which has no server. `wall_clock`, if given,
      replaces either.
    * `timeout`, on PostgreSQL, bounds each call once it has a connection (default 1 second): a server that
      does not answer by then is hung up on. Until it has one the engine's own limits count: `pool_timeout`,
      and the driver's `connect_timeout` (2 seconds where nothing is said); on SQLite, the driver's `timeout`
      for a file that is locked.
    * After `breaker_failures` calls in a row without an answer (default 3) none is made for `breaker_reset`
      (default 1 second); then one tries.

    A hit is one statement, and so is a write, with two more for tags that the entry would outlive; `delete`
    and `invalidate` are one for up to 2,048 names. Each is a transaction of its own (on PostgreSQL, in
    autocommit). A load may take an hour; one that takes longer may not be stored. One write in 32 also
    removes what is over among 64 rows. A lease (`lock="cluster"`) is taken, renewed and given back by one
    statement; a process that waits for one looks at it every 10 to 50 ms, and has no connection in between.

    Errors: `BackendError` and its subclasses, with the driver's own error as cause; `SerialisationError` for
    a value that would not come back as it is; `ConfigurationError` for another engine, for a name that is
    none, and for SQLite in memory where threads would find different databases.
    """

    def __init__(
        self,
        engine: Engine,
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
        from scalekit.sqlalchemy._caller import caller  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._database import Database  # noqa: PLC0415  # as above
        from scalekit.sqlalchemy._engine import sync_engine  # noqa: PLC0415  # as above

        self._database = Database(
            sync_engine(engine, store="SQLAlchemyCacheStore"),
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
        self._call = caller(self._database)

    @property
    def metadata(self) -> MetaData:
        """The `MetaData` of the table, for migrations: one more of Alembic's `target_metadata`."""
        metadata: MetaData = self._database.table.metadata
        return metadata

    def create_all(self) -> None:
        """Make the table if it is not there; several processes may do it at the same time."""
        self._call("create_all", self._database.create)

    def purge(self) -> int:
        """Take away what is over, a thousand rows at a time: entries, tokens, leases; return how many were.

        An entry whose tag was invalidated is over with its lifetime, like any other.
        """
        removed = 0
        hand: bytes | None = b""
        while hand is not None:
            hand, number = self._call("purge", self._operations.purge, hand)
            removed += number
        return removed

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        found: Entry | Snapshot = self._call("read", self._operations.read, slot, now)
        return found

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # the protocol
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        begun: Snapshot = self._call("begin", self._operations.begin, slot, outdate)
        return begun

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        stored: bool = self._call("write", self._operations.write, slot, entry, snapshot, now)
        return stored

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        for names in pieces(map(key_name, keys)):
            self._call("delete", self._operations.outdate, names)

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        for names in pieces(map(tag_name, tags)):
            self._call("invalidate", self._operations.outdate, names)

    def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would, in their order."""
        found: list[Entry | Snapshot] = []
        if slots:
            found = self._call("read_many", self._operations.read_many, slots, now)
        return found

    def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: ARG002, FBT001  # as above
        """Return for each of `slots` what `begin` would, in their order."""
        begun: list[Snapshot] = []
        if slots:
            begun = self._call("begin_many", self._operations.begin_many, slots, outdate)
        return begun

    def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would; each is atomic by itself, not all together."""
        stored: list[bool] = []
        if writes:
            stored = self._call("write_many", self._operations.write_many, writes, now)
        return stored

    def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        got: bool = self._call("acquire", self._leases.acquire, key, owner, seconds)
        return got

    def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back, if `owner` still has it."""
        self._call("release", self._leases.release, key, owner)

    def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back or ends, after `seconds` at the latest."""
        ends = monotonic() + seconds
        for pause in pauses():
            left = ends - monotonic()
            life = self._call("wait", self._leases.left, key) if left > 0 else 0.0
            if life <= 0:
                return
            time.sleep(min(pause, left, life))
