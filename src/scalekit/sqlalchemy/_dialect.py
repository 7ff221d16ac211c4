"""In what the databases and their drivers differ; all other files treat them alike.

This file decides and does nothing: it knows no engine and sends no statement.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE_CLOCK = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"
"""SQL for milliseconds since 1970 on a server; its clock is one for all who use it."""


class Dialect(NamedTuple):
    """One database.

    * `now`: SQL for milliseconds since 1970, with one parameter: those, or None for the database's own.
    * `blob`: the type of bytes.
    * `in_order`, `free_ones`: what ends a subquery over the rows that a statement is about to change. Two
      statements that lock several rows must do it in one order, or each may wait for the other; a clean-up
      leaves rows alone that somebody else is changing.
    * `remote`: whether it is a server, which may hang.
    * `definition`: what a statement that makes a table becomes, for several that send it at once.
    """

    name: str
    now: str
    blob: str
    in_order: str
    free_ones: str
    remote: bool
    definition: str


SQLITE = Dialect(
    name="sqlite",
    # The file's readers share one machine, so the wall clock of each is the clock of all.
    now="?",
    blob="BLOB",
    # One writer at a time: a single statement takes the lock before it reads anything.
    in_order="",
    free_ones="",
    remote=False,
    definition="{}",
)
OLDEST_SQLITE = (3, 33)
"""It brought UPDATE FROM; and before 3.32 a statement had no more than 999 parameters."""
POSTGRESQL = Dialect(
    name="postgresql",
    now=f"COALESCE(CAST(? AS BIGINT), {DATABASE_CLOCK})",
    blob="BYTEA",
    in_order=" ORDER BY name FOR UPDATE",
    free_ones=" FOR UPDATE SKIP LOCKED",
    remote=True,
    # One after the other, for IF NOT EXISTS alone fails for one of two (a duplicate type). And it must not
    # fail: PostgreSQL 18, killed after a CREATE UNLOGGED TABLE was rolled back, could not recover.
    definition="DO $$ BEGIN PERFORM pg_advisory_xact_lock(8314885514837879156); {}; END $$",
)

# Driver to dialect, and to what stands for a parameter in its SQL ("$" is followed by a number).
DRIVERS: Mapping[str, tuple[Dialect, str]] = {
    "pysqlite": (SQLITE, "?"),
    "aiosqlite": (SQLITE, "?"),
    "psycopg": (POSTGRESQL, "%s"),
    "psycopg_async": (POSTGRESQL, "%s"),
    "asyncpg": (POSTGRESQL, "$"),
}
KNOWN = "SQLite (pysqlite, aiosqlite) or PostgreSQL (psycopg, asyncpg)"

_PARAMETER = re.compile(r"\?")

_NO_TABLE = "42P01"
# Another transaction was in the way: not at READ COMMITTED, but a server may be set to stricter levels.
_IN_THE_WAY = frozenset({"40001", "40P01"})
# Cancelled by statement_timeout, or a lock not got within lock_timeout.
_TOO_LATE = frozenset({"57014", "55P03"})


def rendered(sql: str, mark: str) -> str:
    """Return `sql`, whose parameters are `?`, with the driver's `mark`."""
    if mark == "$":
        numbers = count(1)
        return _PARAMETER.sub(lambda _: f"${next(numbers)}", sql)
    return sql if mark == "?" else sql.replace("?", mark)


def sqlstate(error: object) -> str:
    """Return what a PostgreSQL driver's error says about its kind; "" for other errors."""
    return str(getattr(error, "sqlstate", None) or "")


def lacks_table(error: object) -> bool:
    """Tell whether a driver's error says that a table does not exist."""
    return sqlstate(error) == _NO_TABLE or "no such table" in str(error)


def was_in_the_way(error: object) -> bool:
    """Tell whether a driver's error says that another statement was in the way, which it may not be again."""
    return sqlstate(error) in _IN_THE_WAY


def came_too_late(error: object) -> bool:
    """Tell whether a driver's error says that the time allowed has passed, as in waiting for a lock."""
    name = str(getattr(error, "sqlite_errorname", None) or "")
    return sqlstate(error) in _TOO_LATE or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_answer(error: object) -> bool:
    """Tell whether a driver's error says no more than that a statement was wrong: a sign of life."""
    state = sqlstate(error)
    if state:
        # Connection exceptions, insufficient resources, system errors; and that the server is shutting down.
        return state[:2] not in {"08", "53", "58"} and not state.startswith("57P")
    return getattr(error, "sqlite_errorname", None) in {"SQLITE_ERROR", "SQLITE_READONLY", "SQLITE_TOOBIG"}
