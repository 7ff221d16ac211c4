"""How long an operation may take on an event loop, where its database is a server; see `_deadline`.

Here the wait for a connection can be bounded as well: it is cancelled, and nothing is lost with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import greenlet_spawn

from scalekit.errors import BackendError, BackendTimeout
from scalekit.sqlalchemy._deadline import duplicate, shut_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from scalekit.sqlalchemy._database import Database


async def spawned_in_time(database: Database, name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Do an operation in a greenlet, with the deadline of `database`."""
    timeout = database.timeout
    waiting = asyncio.timeout(None)
    try:
        async with waiting:
            limit = LoopDeadline(waiting, timeout)
            try:
                return await greenlet_spawn(database.call, limit, name, function, *args)
            finally:
                limit.cancel()
    except TimeoutError as error:
        if isinstance(error, BackendError) or not waiting.expired():
            raise
        detail = f"no connection within {timeout * 1000:g} ms"
        raise BackendTimeout(database.dialect.name, name, detail) from error


class LoopDeadline:
    """The deadline of one operation of a task."""

    __slots__ = ("_connection", "_timeout", "_timer", "_waiting", "expired")

    def __init__(self, waiting: asyncio.Timeout, timeout: float) -> None:
        self._waiting = waiting
        self._timeout = timeout
        self._connection: Any = None
        self._timer = asyncio.get_running_loop().call_later(timeout, self._ring)
        self.expired = False

    def connected(self, connection: Connection) -> None:
        """From now on the operation waits for `connection`, whatever time it took to get."""
        self._connection = connection.connection.driver_connection
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._ring)

    def done(self) -> None:
        """The operation waits for that connection no more."""
        self._connection = None

    def cancel(self) -> None:
        """The operation has ended."""
        self._timer.cancel()

    def _ring(self) -> None:
        if self._connection is None or self.expired:
            self._waiting.reschedule(0)
        else:
            # The call then ends at once. Cancelled, it would say goodbye to a server that does not listen; it
            # may be doing so already, for a task that was cancelled: then asyncpg waits for ever.
            _hang_up(self._connection)
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._ring)
        self.expired = True


def _hang_up(driver: Any) -> None:
    """End a connection of asyncpg's or psycopg's, whoever waits for it."""
    if hasattr(driver, "terminate"):
        driver.terminate()
    elif not driver.closed:
        with duplicate(driver) as connected:
            shut_down(connected)
