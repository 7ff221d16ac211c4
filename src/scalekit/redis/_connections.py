"""How a blocking link reaches one server: a stack of connections of its own.

It runs within the deadline that `RedisLink` has set for the thread, and returns replies as redis-py's
`execute_command` does, with a server's error reply in its place in the list.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from scalekit.redis import _own
from scalekit.redis._deadline import bounded, remaining
from scalekit.redis._failure import Crowded, is_demotion, is_failure, is_rejected, is_reply
from scalekit.redis._packed import Packed, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.redis._packed import Command


class Connections:
    """A stack of connections to one server, at most as many as the user's client may have."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._origin = _own.origin(client, timeout=timeout, asynchronous=False, bound=bounded)
        self._callbacks = client.response_callbacks
        most = client.connection_pool.max_connections
        self._most = most if most < _UNBOUNDED else None
        self._reset()

    def _reset(self) -> None:
        self._idle: list[Any] = []
        # Places, and no threading.Semaphore: that one is Python, and an exception from a signal handler
        # (a worker's soft time limit) inside its acquire() leaves it locked for ever.
        self._places: SimpleQueue[None] = SimpleQueue()
        self._busy: dict[int, None] = {}  # the threads that have one
        for _ in range(self._most or 0):
            self._places.put(None)
        self._pid = os.getpid()

    def exchange(self, commands: Sequence[Command], /) -> list[Any]:
        connection, idle = self.send(commands)
        return self.receive(connection, idle, commands)

    def send(self, commands: Sequence[Command], /) -> tuple[Any, list[Any]]:
        """Send `commands`; what it returns must be handed on to `receive`, or to `abandon`."""
        if self._pid != os.getpid():
            self._reset()  # a forked child must not talk on its parent's sockets
        if self._most is not None:
            try:
                self._places.get(timeout=remaining())
            except Empty:
                self._replace_lost(self._most)
                raise Crowded from None
            self._busy[threading.get_ident()] = None
        idle = self._idle  # another list by the end if the link was closed or the process forked
        connection = None
        try:
            connection = self._ready(idle)
            connection.send_packed_command(packed(connection, commands), check_health=False)
        except BaseException as error:
            if connection is not None and is_rejected(error) and idle is self._idle:  # before a byte was sent
                idle.append(connection)
                connection = None
            self.abandon(connection)
            raise
        return connection, idle

    def receive(self, connection: Any, idle: list[Any], commands: Sequence[Command], /) -> list[Any]:
        """Return the replies to `commands`, which were sent over `connection`, taken from `idle`."""
        try:
            replies = [self._read(connection, command) for command in commands]
        except BaseException:
            self.abandon(connection)
            raise
        if idle is not self._idle:
            self.abandon(connection)
            return replies
        idle.append(connection)
        if self._most is not None:
            self._leave()
        return replies

    def abandon(self, connection: Any, /) -> None:
        """Give up a connection after `send`: an unread reply must never reach the next command."""
        try:
            if connection is not None:
                connection.disconnect()
        finally:
            if self._most is not None:
                self._leave()

    def _leave(self) -> None:
        self._busy.pop(threading.get_ident(), None)
        self._places.put(None)

    def _replace_lost(self, most: int) -> None:
        """Make up for the places that were taken, and lost to a signal handler's exception right after."""
        self._busy.pop(threading.get_ident(), None)  # ours, from a call that ended so: who asks has none
        for _ in range(most - len(self._busy) - self._places.qsize()):
            self._places.put(None)

    def _ready(self, idle: list[Any]) -> Any:
        """Return a connection on which nothing is pending and which the server has not closed."""
        while (connection := _popped(idle)) is not None:
            try:
                if not connection.is_stirred():
                    return connection
            except Exception as error:
                if not is_failure(error):
                    raise
            connection.disconnect()
        connection = self._origin.make()
        connection.connect()
        return connection

    def _read(self, connection: Any, command: Command) -> Any:
        try:
            reply = connection.read_response()
        except Exception as error:
            if not is_reply(error):
                raise
            if is_demotion(error):
                self.close()  # the address may lead to another server by now, and this one lags behind it
            return error
        if isinstance(command, Packed):
            return reply
        callback = self._callbacks.get(command[0]) if isinstance(command[0], str) else None
        try:
            return reply if callback is None else callback(reply)
        except Exception as error:  # noqa: BLE001  # redis-py's trouble with a reply that was read
            return error

    @property
    def is_connected(self) -> bool:
        """Whether a connection is there, to be used."""
        return bool(self._idle)

    def close(self) -> None:
        idle, self._idle = self._idle, []
        while (connection := _popped(idle)) is not None:
            connection.disconnect()
        for sentinel in self._origin.sentinels:
            sentinel.connection_pool.disconnect()


_UNBOUNDED = 2**16  # redis-py before 8 says 2**31


def _popped(idle: list[Any]) -> Any:
    """Return the warmest connection, or None; safe against other threads, as list.pop is atomic."""
    try:
        return idle.pop()
    except IndexError:
        return None
