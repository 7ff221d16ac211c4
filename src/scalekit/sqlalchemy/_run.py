"""One connection, for the statements of one operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


class Uncertain(Exception):
    """A commit of what was held has failed, by its `__cause__`: nobody knows whether it was done.

    What may not be done twice must then not be tried again.
    """


class Run:
    """Sends statements one by one, each in a transaction of its own, or several in one that is held.

    They are the driver's own SQL, and its rows are taken as they are: what SQLAlchemy would make of either,
    with its types and caches, took 10 of 50 us. Its events see each statement all the same.
    """

    __slots__ = ("_connection", "_held")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._held = False

    def alone(self) -> None:
        """Send the statements of this operation without the round trips of BEGIN and ROLLBACK."""
        self._connection.execution_options(isolation_level="AUTOCOMMIT")

    def hold(self, begin: str, begun: str) -> None:
        """Begin a transaction that lasts until `changed` has committed it, or until the operation's end.

        `begin` begins it where the driver does not ("" where it does); `begun` is sent instead where
        the application's engine has begun already.
        """
        self._held = True
        if begin:
            if not self._connection.in_transaction():
                self._connection.begin()
            driver: Any = self._connection.connection.driver_connection
            self._connection.exec_driver_sql(begun if driver.in_transaction else begin)

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> Sequence[Any]:
        """Return the rows that a query finds, as the driver has them."""
        cursor: Any = self._connection.exec_driver_sql(sql, parameters).cursor
        found: Sequence[Any] = cursor.fetchall()
        return found

    def changed(self, sql: str, parameters: tuple[Any, ...]) -> int:
        """Return how many rows a statement has changed, once that is committed.

        Raises `Uncertain` if what was held may or may not be committed.
        """
        connection, held = self._connection, self._held
        if connection.in_transaction() and not held:
            # What was read before belongs to an older state, from which SQLite would not let us write.
            connection.rollback()
        number: int = connection.exec_driver_sql(sql, parameters).rowcount
        try:
            connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                # SQLAlchemy takes the transaction for ended, and would give the connection back. SQLite's is
                # not, if a reader was in the way: it kept its lock, and whoever came next would commit it.
                driver: Any = connection.connection.dbapi_connection
                driver.rollback()
            if held:
                raise Uncertain from error
            raise
        self._held = False
        return number

    def end(self) -> None:
        """Undo what is still held."""
        if self._held and self._connection.in_transaction():
            self._connection.rollback()
