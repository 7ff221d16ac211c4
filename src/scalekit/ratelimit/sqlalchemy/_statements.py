# ruff: noqa: S608  # no value becomes text here, only the name of the table, which is checked
"""The SQL of the store, as text for one driver.

What a call reads it must hold until it has written. On SQLite the whole file is held, by BEGIN IMMEDIATE.
On PostgreSQL it is the row: one that is there is locked, one that is not is made, and of two who
make it at the same time one waits for the other and gets what that has written. The clock is read after
the wait, so of two hits on a key the later one has the later time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.sqlalchemy._dialect import rendered

if TYPE_CHECKING:
    from scalekit.sqlalchemy._dialect import Dialect

_CLOCK = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
"""SQL for microseconds since 1970 on a server, at the moment of its evaluation."""
_SWEPT = 64

_READ = "SELECT (SELECT state FROM {table} WHERE key = ?), {clock}"
_LOCK = (
    "WITH held AS (SELECT state FROM {table} WHERE key = ? FOR UPDATE), made AS"
    " (INSERT INTO {table} (key, state, expires)"
    " SELECT CAST(? AS BYTEA), CAST('' AS BYTEA), 0 WHERE NOT EXISTS (SELECT 1 FROM held)"
    " ON CONFLICT (key) DO UPDATE SET state = {table}.state RETURNING state)"
    " SELECT state, {clock} FROM held UNION ALL SELECT state, {clock} FROM made"
)
_LOCK_FOUND = "SELECT state, {clock} FROM {table} WHERE key = ? FOR UPDATE"
_UPDATE = "UPDATE {table} SET state = ?, expires = ? WHERE key = ?"
_UPSERT = (
    "INSERT INTO {table} (state, expires, key) VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET state = excluded.state, expires = excluded.expires"
)
_SWEEP = (
    "DELETE FROM {table} WHERE key IN"
    f" (SELECT key FROM {{table}} WHERE expires <= ? ORDER BY expires LIMIT {_SWEPT}{{free_ones}})"
)


class Statements:
    """Each attribute is a statement; its comment names the parameters, in order."""

    __slots__ = (
        "begin",
        "begun",
        "keep",
        "lock",
        "lock_found",
        "locked",
        "read",
        "refund",
        "remote",
        "reset",
        "sweep",
    )

    def __init__(self, table: str, dialect: Dialect, mark: str) -> None:
        def made(sql: str) -> str:
            clock = _CLOCK if dialect.remote else "NULL"
            return rendered(sql.format(table=table, clock=clock, free_ones=dialect.free_ones), mark)

        self.remote: bool = dialect.remote
        # No parameters; what begins a transaction that holds the file, and what makes one hold it.
        self.begin: str = "" if dialect.remote else "BEGIN IMMEDIATE"
        self.begun: str = made("UPDATE {table} SET key = key WHERE 0")
        # A row of state (NULL where there is none) and clock; key.
        self.read: str = made(_READ)
        # The same, held; key, `locked` times. And a row only if there is one; key.
        self.lock: str = made(_LOCK if dialect.remote else _READ)
        self.locked: int = 2 if dialect.remote else 1
        self.lock_found: str = made(_LOCK_FOUND if dialect.remote else _READ)
        # State, expires, key, of a row that is held.
        self.keep: str = made(_UPDATE if dialect.remote else _UPSERT)
        # State, key.
        self.refund: str = made("UPDATE {table} SET state = ? WHERE key = ?")
        # Key.
        self.reset: str = made("DELETE FROM {table} WHERE key = ?")
        # Takes away some that expired longest ago; now.
        self.sweep: str = made(_SWEEP)
