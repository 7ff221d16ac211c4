"""What surrounds each operation: a connection, a deadline, the breaker, another attempt, and the errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from scalekit._breaker import Breaker, checked_failures
from scalekit._time import seconds
from scalekit.cache.sqlalchemy._engine import dialect_of, turn_of
from scalekit.cache.sqlalchemy._failure import driver_errors, judged, remedy_of
from scalekit.cache.sqlalchemy._run import Run
from scalekit.cache.sqlalchemy._statements import Statements
from scalekit.cache.sqlalchemy._table import definition, table_of
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from scalekit._time import Clock, Duration
    from scalekit.cache.sqlalchemy._dialect import Dialect
    from scalekit.cache.sqlalchemy._failure import Remedy

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
    """One table of one database, as an engine reaches it."""

    def __init__(
        self,
        engine: Engine,
        *,
        table: str,
        wall_clock: Clock | None,
        timeout: Duration,
        breaker_failures: int,
        breaker_reset: Duration,
    ) -> None:
        failures, reset = checked_failures(breaker_failures), seconds(breaker_reset, "breaker_reset")
        self.timeout = seconds(timeout, "timeout")
        self.dialect, mark = dialect_of(engine)
        self._breaker = Breaker(self.dialect.name, failures=failures, reset=reset)
        self.clock = _milliseconds(wall_clock, self.dialect)
        self.table = table_of(table, self.dialect)
        name = engine.dialect.identifier_preparer.format_table(self.table)
        self.statements = Statements(name, self.dialect, mark)
        self._definition = definition(self.table, engine, self.dialect)
        self._errors = driver_errors(engine)
        self._turn = turn_of(engine)
        self._engine = self._sender = engine
        if self.dialect.autocommit:
            self._sender = engine.execution_options(isolation_level="AUTOCOMMIT")

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
            expired = limit is not None and limit.expired
            verdict = judged(error, expired=expired, errors=self._errors)
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
        run.changed(self._definition, ())

    def _attempt(self, limit: Limit | None, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        with self._turn, self._sender.connect() as connection:
            if limit is None:
                return function(Run(connection), *args)
            limit.connected(connection)
            try:
                return function(Run(connection), *args)
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


def _milliseconds(wall_clock: Clock | None, dialect: Dialect) -> Callable[[], int | None]:
    if wall_clock is not None and not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "as a callable that returns seconds, or None")
    if wall_clock is None and dialect.remote:
        return lambda: None
    if wall_clock is None:
        return lambda: time.time_ns() // 1_000_000
    return lambda: int(wall_clock() * 1_000)
