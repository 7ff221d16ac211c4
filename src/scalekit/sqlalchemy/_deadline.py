"""How long an operation may take, where its database is a server: at the end its connection is hung up.

No driver gives up on a server that does not answer: `statement_timeout` is the server's own, and TCP sees
nothing wrong with a host whose kernel still acknowledges. A connection whose socket is shut down is lost to
driver and pool alike, and the call that waited on it ends with an error.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from scalekit.sqlalchemy._alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from scalekit.sqlalchemy._alarms import Alarm

_alarms = Alarms("scalekit-sql-deadline")

_CONNECT_TIMEOUT = 2
"""Seconds: the least that psycopg and libpq take."""


class _Current(threading.local):
    """Of an operation that a thread is at: the connects' parameters that it has added to."""

    parameters: list[dict[str, Any]] | None = None


_current = _Current()


def connect_in_time(*given: Any) -> None:
    """Give up on a connection that an operation of ours is the one to make: the driver would wait for 130 s.

    A listener to an engine's `do_connect`. What the engine itself says about it stays as it is.
    """
    parameters: dict[str, Any] = given[-1]
    if _current.parameters is not None and "connect_timeout" not in parameters:
        parameters["connect_timeout"] = _CONNECT_TIMEOUT
        _current.parameters.append(parameters)


def run_in_time(timeout: float, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` with a deadline of `timeout` seconds, and `args`."""
    added = _current.parameters = []
    try:
        return function(Deadline(timeout), *args)
    finally:
        _current.parameters = None
        for (
            parameters
        ) in added:  # until SQLAlchemy 2.1 they are the engine's own, for the application's connects too
            parameters.pop("connect_timeout", None)


class Deadline:
    """The deadline of one operation of a thread, `timeout` seconds after it has a connection.

    Were it to count from before, and connecting take as long, no connection would ever stay in the pool.
    """

    __slots__ = ("_alarm", "_socket", "_timeout", "expired")

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._alarm: Alarm | None = None
        self._socket: socket.socket | None = None
        self.expired = False

    def connected(self, connection: Connection) -> None:
        """From now on the operation waits for `connection`."""
        # A duplicate: the driver may close its own at any time, and the number be given to somebody else's.
        self._socket = duplicate(connection.connection.driver_connection)
        self._alarm = _alarms.set(monotonic() + self._timeout, self._hang_up)

    def done(self) -> None:
        """The operation waits for that connection no more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _hang_up(self) -> None:
        self.expired = True
        if self._socket is not None:
            shut_down(self._socket)


def duplicate(driver: Any) -> socket.socket:
    """Return the socket of psycopg's connection once more; its family is of no account to shut it down."""
    return socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM)


def shut_down(connected: socket.socket) -> None:
    """End both directions of a socket, for all who have it."""
    with suppress(OSError):  # the other side was faster
        connected.shutdown(socket.SHUT_RDWR)
