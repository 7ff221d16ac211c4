"""What runs the statements: a session or a connection, sync or async, on a database that we know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session, scoped_session

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.pagination.sqlalchemy._forms import NULLS_LARGEST
from scalekit.pagination.sqlalchemy._shape import checked_select, has_entities

if TYPE_CHECKING:
    from sqlalchemy import Dialect


def checked(session: Any, statement: object) -> Dialect:
    """Return the dialect that `session` speaks; raise `ConfigurationError` where paging cannot work."""
    return _checked(session, statement, Connection, (Session, scoped_session), "a Session or a Connection")


def async_checked(session: Any, statement: object) -> Dialect:
    """As `checked`, for the async kinds; raise `MissingExtra` without the greenlet that they need."""
    # SQLAlchemy 2.1 comes without it, and would miss it only at the first query.
    require("greenlet", extra="sqlalchemy", needed_by="AsyncSelectSource")
    from sqlalchemy.ext.asyncio import (  # noqa: PLC0415  # loads asyncio
        AsyncConnection,
        AsyncSession,
        async_scoped_session,
    )

    sessions: Any = (AsyncSession, async_scoped_session)
    return _checked(session, statement, AsyncConnection, sessions, "an AsyncSession or an AsyncConnection")


def _checked(session: Any, statement: object, connection: Any, sessions: Any, expected: str) -> Dialect:
    read = checked_select(statement)
    if isinstance(session, connection):
        dialect: Dialect = session.dialect
        if has_entities(read):
            raise ConfigurationError(
                "session", session, "to be a session, since the statement selects entities"
            )
    elif isinstance(session, sessions):
        dialect = session.get_bind(clause=read).dialect
    else:
        raise ConfigurationError("session", session, f"to be {expected}")
    if dialect.name not in NULLS_LARGEST:
        raise ConfigurationError("session", dialect.name, f"on one of: {', '.join(NULLS_LARGEST)}")
    return dialect
