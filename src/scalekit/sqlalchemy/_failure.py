"""Which error means what: whose fault it is, whether it speaks against the database, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy.exc import DBAPIError, MissingGreenlet, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from scalekit.sqlalchemy import _dialect

if TYPE_CHECKING:
    from sqlalchemy import Engine

Remedy = Literal["create", "again", "reconnect"]
"""What to do before an operation is tried once more: make the table, nothing, or take a new connection."""


class Verdict(NamedTuple):
    """About an error of the database: its driver's own (`cause`), and whether it shows the database alive."""

    cause: BaseException
    late: bool
    detail: str
    alive: bool | None


def remedy_of(error: DBAPIError) -> Remedy | None:
    """Return what may help against `error`; None where nothing does that can be done here."""
    if _dialect.lacks_table(error.orig):
        return "create"
    if error.connection_invalidated:
        # The server was restarted since the connection was made; the pool has dropped all that are as old.
        return "reconnect"
    return "again" if _dialect.was_in_the_way(error.orig) else None


def driver_errors(engine: Engine) -> tuple[type[BaseException], ...]:
    """Return what the driver of `engine` raises, wrapped by SQLAlchemy or not."""
    dbapi: Any = engine.dialect.loaded_dbapi
    # Errors of asyncpg's that occur while it connects come as they are.
    asyncpg = getattr(dbapi, "asyncpg", None)
    own = () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)
    return (SQLAlchemyError, OSError, dbapi.Error, *own)


def judged(error: BaseException, *, expired: bool, errors: tuple[type[BaseException], ...]) -> Verdict | None:
    """Return the verdict about `error`; None if the database has nothing to do with it.

    `expired` says that the operation's deadline is over, by whatever name the error goes.
    """
    if isinstance(error, MissingGreenlet) or not isinstance(error, Exception if expired else errors):
        return None
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    detail = f"{type(cause).__name__}: {cause}"
    if expired:
        return Verdict(cause, late=True, detail=detail, alive=False)
    if isinstance(error, NoConnectionFree):
        return Verdict(cause, late=True, detail=detail, alive=None)  # all are in use here
    # psycopg has no other name for a time-out while it connects; asyncpg raises Python's own.
    late = (
        isinstance(cause, TimeoutError)
        or _dialect.came_too_late(cause)
        or type(cause).__name__ == "ConnectionTimeout"
    )
    return Verdict(cause, late=late, detail=detail, alive=not late and _dialect.is_answer(cause))
