"""What surrounds each operation: a connection, a deadline, the breaker, another attempt, and the errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from scalekit._breaker import Breaker, checked_failures
from scalekit._time import seconds
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable
from scalekit.sqlalchemy._engine import dialect_of, turn_of
from scalekit.sqlalchemy._failure import driver_errors, judged, remedy_of
from scalekit.sqlalchemy._run import Run, Uncertain
from scalekit.sqlalchemy._table import definitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.engine.interfaces import IsolationLevel

    from scalekit._time import Duration
    from scalekit.sqlalchemy._dialect import Dialect
    from scalekit.sqlalchemy._failure import Remedy

T = TypeVar("T")

_ATTEMPTS = 10
"""Of one operation, after the first: with stricter isolation than READ COMMITTED statements often fail."""


class Limit(Protocol):
    """The deadline of one operation, as a thread or an event loop keeps it."""

    expired: bool

    def connected(self, connection: Connection) -> None:
        """From now on the operation waits for `connection`."""
        ...

    def done(self) -> None:
        """The operation waits for that connection no more."""
        ...


class Database:
    """One table of one database, as an engine reaches it.

    `level` is that of its transactions, where the database is a server.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        table: Callable[[Dialect], Table],
        level: IsolationLevel,
        timeout: Duration,
        breaker_failures: int,
        breaker_reset: Duration,
    ) -> None:
        failures, reset = checked_failures(breaker_failures), seconds(breaker_reset, "breaker_reset")
        self.timeout = seconds(timeout, "timeout")
        self.dialect, self.mark = dialect_of(engine)
        self.driver = engine.dialect.driver
        self._breaker = Breaker(self.dialect.name, failures=failures, reset=reset)
        self.table = table(self.dialect)
        self.name = engine.dialect.identifier_preparer.format_table(self.table)
        self._definitions = definitions(self.table, engine, self.dialect)
        self._errors = driver_errors(engine)
        self._turn = turn_of(engine)
        self._engine = self._sender = engine
        # SQLite has one writer at a time anyway. Going in and out of autocommit costs its driver more than a
        # read (88 us for 41), and BEGIN no round trip.
        if self.dialect.remote:
            self._sender = engine.execution_options(isolation_level=level)

    def listen(self, name: str, listener: Callable[..., None]) -> None:
        """Have `listener` called for an event of the engine, once for all stores that use it."""
        if not event.contains(self._engine, name, listener):
            event.listen(self._engine, name, listener)

    def call(self, limit: Limit | None, name: str, function: Callable[..., T], *args: Any) -> T:
        """Return what `function` returns, called with a `Run` and `args`; it may be called more than once.

        Raises `BackendError` where the database fails, and what `function` raises of its own.
        """
        began = time.monotonic()
        generation = self._breaker.admit(began)
        if generation is None:
            raise BackendUnavailable(self.dialect.name, name, self._breaker.refusal(began))
        try:
            try:
                result = self._attempt(limit, function, args)
            except DBAPIError as error:
                result = self._further_attempts(error, limit, function, args)
        except BaseException as error:
            cause = (error.__cause__ or error) if isinstance(error, Uncertain) else error
            expired = limit is not None and limit.expired
            verdict = judged(cause, expired=expired, errors=self._errors)
            alive = None if verdict is None else verdict.alive
            late = f"no answer within {self.timeout * 1000:g} ms"
            detail = late if expired or verdict is None else verdict.detail
            if expired or alive is False:
                self._breaker.failed(generation, began, time.monotonic(), detail)
            elif alive:
                self._breaker.succeeded(generation)
            else:
                self._breaker.abandoned(generation)
            if verdict is None:
                raise
            kind = BackendTimeout if verdict.late else BackendError
            raise kind(self.dialect.name, name, detail) from verdict.cause
        self._breaker.succeeded(generation)
        return result

    def create(self, run: Run) -> None:
        """Make the table if it is not there."""
        for one in self._definitions:
            run.changed(one, ())

    def _attempt(self, limit: Limit | None, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        with self._turn, self._sender.connect() as connection:
            if limit is None:
                return _run(connection, function, args)
            limit.connected(connection)
            try:
                return _run(connection, function, args)
            finally:
                limit.done()
                if limit.expired and not (connection.closed or connection.invalidated):
                    connection.invalidate()  # it was hung up, whether anybody has noticed or not

    def _further_attempts(
        self, error: DBAPIError, limit: Limit | None, function: Callable[..., T], args: tuple[Any, ...]
    ) -> T:
        """Try again where that may help; else raise the `error` of the attempt before, or what follows it."""
        tried: set[Remedy] = set()
        for _ in range(_ATTEMPTS):
            remedy = remedy_of(error)
            if remedy is None or remedy in tried or (limit is not None and limit.expired):
                break
            if remedy != "again":
                tried.add(remedy)
            try:
                if remedy == "create":
                    self._attempt(limit, self.create, ())
                return self._attempt(limit, function, args)
            except DBAPIError as another:
                error = another
        raise error


def _run(connection: Connection, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    run = Run(connection)
    try:
        return function(run, *args)
    finally:
        run.end()
