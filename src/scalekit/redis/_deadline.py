"""One deadline over everything a blocking redis-py connection does for a command.

redis-py's `socket_timeout` bounds each read and write by itself: a connect, a handshake of three
commands and a reply that drips in can take many times that. Here the thread that runs a command has
one deadline, and every socket operation may take what is left of it. Name resolution is the one step
that no timeout reaches (`getaddrinfo` cannot be interrupted).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


class _Current(threading.local):
    at: float | None = None


_current = _Current()


@contextmanager
def deadline(ends: float) -> Generator[None]:
    """Give the socket operations of this thread until `ends`, on `time.monotonic`."""
    _current.at = ends
    try:
        yield
    finally:
        _current.at = None


def remaining() -> float | None:
    """Return the seconds left to this thread, at least 0.0, or None where no deadline is set."""
    at = _current.at
    return None if at is None else max(0.0, at - monotonic())


class _DeadlineSocket:
    """A connected socket whose blocking operations share the thread's deadline."""

    def __init__(self, sock: socket, timeout: float | None) -> None:
        self._sock = sock
        self._own = timeout

    def __getattr__(self, name: str) -> Any:
        """Pass on whatever does not block: fileno, close, getpeername, setsockopt, …."""
        return getattr(self._sock, name)

    def settimeout(self, value: float | None) -> None:
        """Set a limit per operation; the deadline holds besides (0 asks for non-blocking reads)."""
        self._own = value

    def recv(self, *args: Any) -> bytes:
        """Receive within what is left of the deadline."""
        self._arm()
        return self._sock.recv(*args)

    def recv_into(self, *args: Any) -> int:
        """Receive into a buffer within what is left of the deadline."""
        self._arm()
        return self._sock.recv_into(*args)

    def sendall(self, *args: Any) -> None:
        """Send everything within what is left of the deadline."""
        self._arm()
        self._sock.sendall(*args)

    def _arm(self) -> None:
        left, own = remaining(), self._own
        if own is not None and (left is None or own < left):
            left = own
        elif left == 0.0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(left)


def bounded(connection_class: type[Any], timeout: float) -> type[Any]:
    """Return a subclass of a redis-py connection class whose sockets keep the thread's deadline.

    `timeout` bounds each single operation besides.
    """

    class DeadlineConnection(connection_class):  # type: ignore[misc]  # the base is the caller's
        def _connect(self) -> Any:
            # `_connect` is redis-py's abstract method for subclasses: "return a connected socket".
            left = remaining()
            if left == 0.0:
                raise TimeoutError("the deadline has passed")
            self.socket_timeout = self.socket_connect_timeout = (
                timeout if left is None else min(left, timeout)
            )
            try:
                connected: Any = connection_class._connect(self)  # noqa: SLF001  # see above
                # A fake for tests is no socket, and cannot hang either.
                return _DeadlineSocket(connected, timeout) if isinstance(connected, socket) else connected
            finally:
                self.socket_timeout = self.socket_connect_timeout = timeout

    return DeadlineConnection
