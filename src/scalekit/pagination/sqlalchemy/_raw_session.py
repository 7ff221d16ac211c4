"""What runs raw SQL: SQLAlchemy's sessions and connections, sync or async, or a driver's own connection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, scoped_session

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.pagination.sqlalchemy._drivers import DRIVERS, Answer, Cursors, driver_of
from scalekit.pagination.sqlalchemy._frame import Style
from scalekit.pagination.sqlalchemy._raw import WRITERS
from scalekit.pagination.sqlalchemy._raw_query import RawQuery

_TEXT = Style(positional=None, named=":{}", escape=(":", "\\:"))


class Executed:
    """Runs queries on a session or connection of SQLAlchemy."""

    __slots__ = ("_session",)

    def __init__(self, session: Any) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Any) -> Answer:
        """Return what the query gives."""
        return _answer(self._session.execute(text(statement), parameters))

    def number(self, statement: str, parameters: Any) -> int:
        """Return the only value that the query gives."""
        found: int = (self._session.execute(text(statement), parameters)).scalar_one()
        return found


class AsyncExecuted:
    """Runs queries on an async session or connection of SQLAlchemy."""

    __slots__ = ("_session",)

    def __init__(self, session: Any) -> None:
        self._session = session

    async def rows(self, statement: str, parameters: Any) -> Answer:
        """Return what the query gives."""
        return _answer(await self._session.execute(text(statement), parameters))

    async def number(self, statement: str, parameters: Any) -> int:
        """Return the only value that the query gives."""
        found: int = (await self._session.execute(text(statement), parameters)).scalar_one()
        return found


def raw(
    connection: Any, sql: object, params: object, not_null: object
) -> tuple[RawQuery, Executed | Cursors]:
    """Return the query and what runs it; raise `ConfigurationError` where paging cannot work."""
    driver = driver_of(connection)
    if driver is not None:
        query = RawQuery(sql, params, not_null, dialect=driver.dialect, style=driver.style)
        return query, Cursors(connection, driver)
    expected = f"a Session or a Connection of SQLAlchemy, or a {' or '.join(DRIVERS)}"
    dialect = _dialect(connection, Connection, (Session, scoped_session), expected)
    return RawQuery(sql, params, not_null, dialect=dialect, style=_TEXT), Executed(connection)


def async_raw(
    connection: Any, sql: object, params: object, not_null: object
) -> tuple[RawQuery, AsyncExecuted]:
    """As `raw`, for SQLAlchemy's async kinds; raise `MissingExtra` without the greenlet that they need."""
    require("greenlet", extra="sqlalchemy", needed_by="AsyncSQLSource")
    from sqlalchemy.ext.asyncio import (  # noqa: PLC0415  # loads asyncio
        AsyncConnection,
        AsyncSession,
        async_scoped_session,
    )

    expected = "an AsyncSession or an AsyncConnection of SQLAlchemy"
    dialect = _dialect(connection, AsyncConnection, (AsyncSession, async_scoped_session), expected)
    return RawQuery(sql, params, not_null, dialect=dialect, style=_TEXT), AsyncExecuted(connection)


def _dialect(session: Any, connection: Any, sessions: Any, expected: str) -> str:
    if isinstance(session, connection):
        name: str = session.dialect.name
    elif isinstance(session, sessions):
        name = session.get_bind().dialect.name
    else:
        raise ConfigurationError("connection", session, f"to be {expected}")
    if name not in WRITERS:
        raise ConfigurationError("connection", name, f"on one of: {', '.join(WRITERS)}")
    return name


def _answer(result: Any) -> Answer:
    return Answer(result.cursor.description, result.all())
