"""How long an operation may take, where its database is a server: at the end its connection is hung up.

No driver gives up on a server that does not answer: `statement_timeout` is the server's own, and TCP sees
nothing wrong with a host whose kernel still acknowledges. A connection whose socket is shut down is lost to
driver and pool alike, and the call that waited on it ends with an error.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from scalekit.cache.sqlalchemy._alarms import Alarms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from scalekit.cache.sqlalchemy._alarms import Alarm

_alarms = Alarms("scalekit-sql-deadline")


class Unlimited:
    """No deadline: a file is waited for as long as its driver allows."""

    __slots__ = ()
    expired = False

    def connected(self, connection: Connection) -> None:
        """See `Deadline.connected`."""

    def done(self) -> None:
        """See `Deadline.done`."""


class Deadline:
    """The deadline of one operation of a thread, `timeout` seconds from now."""

    __slots__ = ("_alarm", "_ends", "_socket", "expired")

    def __init__(self, timeout: float) -> None:
        self._ends = monotonic() + timeout
        self._alarm: Alarm | None = None
        self._socket: socket.socket | None = None
        self.expired = False

    def connected(self, connection: Connection) -> None:
        """From now on the operation waits for `connection`."""
        driver: Any = connection.connection.driver_connection
        # A duplicate: the driver may close its own at any time, and the number be given to somebody else's.
        self._socket = duplicate(driver)
        self._alarm = _alarms.set(self._ends, self._hang_up)

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
    """Return the socket of psycopg's connection once more; the family is of no account to shut it down."""
    return socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM)


def shut_down(connected: socket.socket) -> None:
    """End both directions of a socket, for all who have it."""
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
