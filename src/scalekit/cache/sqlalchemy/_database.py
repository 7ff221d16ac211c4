"""What surrounds each operation: a connection, a deadline, the breaker, another attempt, and the errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from scalekit._breaker import Breaker
from scalekit._time import seconds
from scalekit.cache.sqlalchemy._engine import dialect_of, turn_of
from scalekit.cache.sqlalchemy._failure import driver_errors, judged, remedy_of
from scalekit.cache.sqlalchemy._run import Run
from scalekit.cache.sqlalchemy._statements import Statements
from scalekit.cache.sqlalchemy._table import create, table_of
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from scalekit._time import Clock, Duration
    from scalekit.cache.sqlalchemy._dialect import Dialect
    from scalekit.cache.sqlalchemy._failure import Remedy

T = TypeVar("T")

_ATTEMPTS = 10
"""Of one operation, where statements get in each other's way: with stricter isolation than READ COMMITTED."""


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
        failures = breaker_failures
        if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
            raise ConfigurationError("breaker_failures", failures, "as an integer >= 1")
        self._breaker = Breaker(failures=failures, reset=seconds(breaker_reset, "breaker_reset"))
        self.timeout = seconds(timeout, "timeout")
        self.dialect, mark = dialect_of(engine)
        self.clock = _milliseconds(wall_clock, self.dialect)
        self.table = table_of(table, self.dialect)
        name = engine.dialect.identifier_preparer.format_table(self.table)
        self.statements = Statements(name, self.dialect, mark)
        self._errors = driver_errors(engine)
        self._turn = turn_of(engine)
        self._engine = self._sender = engine
        if self.dialect.autocommit:
            self._sender = engine.execution_options(isolation_level="AUTOCOMMIT")

    def listen(self, name: str, listener: Callable[..., None]) -> None:
        """Have `listener` called for an event of the engine, once for all stores that use it."""
        if not event.contains(self._engine, name, listener):
            event.listen(self._engine, name, listener)

    def call(self, limit: Limit, name: str, function: Callable[..., T], *args: Any) -> T:
        """Return what `function` returns, called with a `Run` and `args`; it may be called more than once.

        Raises `BackendError` where the database fails, and what `function` raises of its own.
        """
        result: T = self._guarded(limit, name, self._attempts, function, args)
        return result

    def create_all(self, limit: Limit) -> None:
        """Make the table if it is not there; errors as `call` has them."""
        self._guarded(limit, "create_all", self._create)

    def _guarded(self, limit: Limit, name: str, work: Callable[..., T], *args: Any) -> T:
        began = time.monotonic()
        generation = self._breaker.admit(began)
        if generation is None:
            left = self._breaker.retry_in(began)
            detail = f"not asked, the circuit breaker is open; next probe in {left:.3f} s"
            raise BackendUnavailable(self.dialect.name, name, detail)
        try:
            result = work(limit, *args)
        except BaseException as error:
            verdict = judged(error, expired=limit.expired, errors=self._errors)
            alive = None if verdict is None else verdict.alive
            if limit.expired or alive is False:
                self._breaker.failed(generation, began, time.monotonic())
            elif alive:
                self._breaker.succeeded(generation)
            else:
                self._breaker.abandoned(generation)
            if verdict is None:
                raise
            kind = BackendTimeout if verdict.late else BackendError
            detail = f"no answer within {self.timeout * 1000:g} ms" if limit.expired else verdict.detail
            raise kind(self.dialect.name, name, detail) from verdict.cause
        self._breaker.succeeded(generation)
        return result

    def _attempts(self, limit: Limit, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        left = _ATTEMPTS
        tried: set[Remedy] = set()
        while True:
            left -= 1
            try:
                return self._attempt(limit, function, args)
            except DBAPIError as error:
                remedy = remedy_of(error)
                if remedy is None or remedy in tried or not left or limit.expired:
                    raise
            if remedy != "again":
                tried.add(remedy)
            if remedy == "create":
                self._create(limit)

    def _attempt(self, limit: Limit, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        with self._turn, self._sender.connect() as connection:
            limit.connected(connection)
            try:
                return function(Run(connection), *args)
            finally:
                _done(limit, connection)

    def _create(self, limit: Limit) -> None:
        with self._turn, self._engine.begin() as connection:
            limit.connected(connection)
            try:
                create(self.table, connection, self.dialect)
            finally:
                _done(limit, connection)


def _milliseconds(wall_clock: Clock | None, dialect: Dialect) -> Callable[[], int | None]:
    if wall_clock is not None and not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "as a callable that returns seconds, or None")
    if wall_clock is None and dialect.remote:
        return lambda: None
    clock = wall_clock or time.time
    return lambda: int(clock() * 1_000)


def _done(limit: Limit, connection: Connection) -> None:
    limit.done()
    if limit.expired and not (connection.closed or connection.invalidated):
        connection.invalidate()  # it was hung up, whether anybody has noticed or not
