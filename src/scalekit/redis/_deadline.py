"""One deadline over everything a blocking redis-py connection does for a command.

redis-py's `socket_timeout` bounds each read and write by itself: a connect, a handshake of three
commands and a reply that drips in can take many times that. Here the thread that runs a command has
one deadline, and every socket operation may take what is left of it. Name resolution is the one step
that no timeout reaches (`getaddrinfo` cannot be interrupted).
"""

from __future__ import annotations

import select
import threading
from socket import socket
from time import monotonic
from typing import Any


class _Current(threading.local):
    at: float | None = None


_current = _Current()


def set_deadline(ends: float | None) -> float | None:
    """Give the socket operations of this thread until `ends`, on `time.monotonic`.

    Returns what was set before, which the caller sets again when it is done. That is the deadline of a call
    that uses another link, as a credential provider may. It does not bound the inner one: what a signal
    handler's exception leaves behind here may be long past, and would end every later call.
    """
    outer = _current.at
    _current.at = ends
    return outer


def remaining() -> float | None:
    """Return the seconds left to this thread, at least 0.0, or None where no deadline is set."""
    at = _current.at
    return None if at is None else max(0.0, at - monotonic())


class _DeadlineSocket:
    """A connected socket whose blocking operations share the thread's deadline."""

    __slots__ = ("_armed", "_blocking", "_sock", "_timeout")

    def __init__(self, sock: socket, timeout: float) -> None:
        self._sock = sock
        self._timeout = timeout
        self._blocking = True
        self._armed = 0.0  # the time-out that the socket has, where it is known

    def __getattr__(self, name: str) -> Any:
        """Pass on whatever does not block: fileno, close, getpeername, setsockopt, …."""
        return getattr(self._sock, name)

    def settimeout(self, value: float | None) -> None:
        """Tell whether to block at all (0 says no); how long is the deadline's to say."""
        self._blocking = value != 0

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
        limit = _in_time(self._timeout) if self._blocking else 0.0
        # To set it is a system call, and from one call to the next it is the same but for microseconds.
        if not limit * 0.98 <= self._armed <= limit * 1.02 or not limit:
            self._sock.settimeout(limit)
            self._armed = limit


def _in_time(timeout: float) -> float:
    """Return `timeout`, or less if less is left; raises `TimeoutError` if nothing is."""
    at = _current.at
    if at is None:
        return timeout
    left = at - monotonic()
    if left <= 0.0:
        raise TimeoutError("the deadline has passed")
    return timeout if timeout < left else left  # noqa: FURB136  # min() took half as long as all the rest


def bounded(connection_class: type[Any], timeout: float) -> type[Any]:
    """Return a subclass of a redis-py connection class whose sockets keep the thread's deadline.

    `timeout` bounds each single operation besides.
    """

    class DeadlineConnection(connection_class):  # type: ignore[misc]  # the base is the caller's
        # redis-py reads these before the connect and again before the TLS handshake: each time they are
        # what is left. What it would set them to is overruled.
        _poll: Any = None
        socket_timeout = socket_connect_timeout = property(lambda _: _in_time(timeout), lambda _, __: None)

        def _connect(self) -> Any:
            # redis-py's abstract method for subclasses: "return a connected socket".
            connected: Any = connection_class._connect(self)  # noqa: SLF001  # see above
            self.link_socket = connected  # for who waits for several of them
            self._poll = None
            if not isinstance(connected, socket):
                return connected  # a fake for tests, which cannot hang either
            if hasattr(select, "poll") and type(connected) is socket:  # no subclass, as that for TLS
                self._poll = select.poll()
                self._poll.register(connected, select.POLLIN)
            return _DeadlineSocket(connected, timeout)

        def is_stirred(self) -> bool:
            """Whether something can be read, be it that the server has closed; may raise what redis-py does.

            redis-py's own check takes three times as long, a tenth of a call. Over TLS there is no other:
            what can be read then need not be data.
            """
            poll = self._poll
            return self.can_read(0) if poll is None else bool(poll.poll(0))

    return DeadlineConnection
