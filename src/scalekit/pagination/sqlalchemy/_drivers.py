"""The drivers whose own connections run raw SQL."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scalekit.pagination.sqlalchemy._frame import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class DriverConnection(Protocol):
    """A connection of `sqlite3` or psycopg 3."""

    def cursor(self) -> Any:
        """Return a new cursor."""


class Answer(NamedTuple):
    """What a query gave: DB-API's description of its columns, and its rows as they are handed out."""

    description: Sequence[Sequence[Any]]
    rows: Sequence[Any]


class Driver(NamedTuple):
    """A driver: the database it is for, how it marks values, and its row factory that makes tuples."""

    dialect: str
    style: Style
    row_factory: Callable[[], Any]


def _psycopg_tuples() -> Any:
    from psycopg.rows import tuple_row  # noqa: PLC0415  # only with psycopg

    return tuple_row


DRIVERS = {
    "sqlite3.Connection": Driver("sqlite", Style("?", ":{}", None), lambda: None),
    "psycopg.Connection": Driver("postgresql", Style("%s", "%({})s", ("%", "%%")), _psycopg_tuples),
}
"""By the driver's name and that of its connections' class."""


def driver_of(connection: object) -> Driver | None:
    """Return the driver that `connection` is of, without importing any, or None for anything else."""
    for each in type(connection).__mro__:
        found = DRIVERS.get(f"{each.__module__.partition('.')[0]}.{each.__name__}")
        if found is not None:
            return found
    return None


class Cursors:
    """Runs queries on a driver's own connection, whose rows stay as its row factory makes them."""

    __slots__ = ("_connection", "_driver")

    def __init__(self, connection: DriverConnection, driver: Driver) -> None:
        self._connection = connection
        self._driver = driver

    def rows(self, statement: str, parameters: Any) -> Answer:
        """Return what the query gives."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, parameters)
            return Answer(cursor.description, cursor.fetchall())

    def number(self, statement: str, parameters: Any) -> int:
        """Return the only value that the query gives."""
        with closing(self._connection.cursor()) as cursor:
            cursor.row_factory = self._driver.row_factory()
            cursor.execute(statement, parameters)
            found: int = cursor.fetchone()[0]
            return found
