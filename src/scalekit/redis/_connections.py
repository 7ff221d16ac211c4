"""How a blocking link reaches the server: its own connections, or a cluster client of its own.

Both run within the deadline that `RedisLink` has set for the thread, and both return replies as
redis-py's `execute_command` does, with a server's error reply in its place in the list.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from scalekit.redis import _own
from scalekit.redis._deadline import bounded, remaining
from scalekit.redis._failure import Crowded, is_failure, is_rejected, is_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

Command: TypeAlias = "tuple[Any, ...]"


class Transport(Protocol):
    """Sends commands and returns their replies."""

    def exchange(self, commands: Sequence[Command], /) -> list[Any]:
        """Send all `commands`, then read all replies; an error reply is an element of the list."""
        ...

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        ...


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
        if self._pid != os.getpid():
            self._reset()  # a forked child must not talk on its parent's sockets
        if self._most is None:
            return self._converse(commands)
        places, busy, thread = self._places, self._busy, threading.get_ident()
        try:
            places.get(timeout=remaining())
        except Empty:
            self._replace_lost(self._most)
            raise Crowded from None
        busy[thread] = None
        try:
            return self._converse(commands)
        finally:
            busy.pop(thread, None)
            places.put(None)

    def _replace_lost(self, most: int) -> None:
        """Make up for the places that were taken, and lost to a signal handler's exception right after."""
        for _ in range(most - len(self._busy) - self._places.qsize()):
            self._places.put(None)

    def _converse(self, commands: Sequence[Command]) -> list[Any]:
        idle = self._idle  # another list by the end if the link was closed or the process forked
        connection = self._ready(idle)
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            replies = [self._read(connection, command) for command in commands]
        except BaseException as error:
            if is_rejected(error) and idle is self._idle:  # before a byte was sent
                idle.append(connection)
            else:
                connection.disconnect()  # an unread reply must never reach the next command
            raise
        if idle is self._idle:
            idle.append(connection)
        else:
            connection.disconnect()
        return replies

    def _ready(self, idle: list[Any]) -> Any:
        """Return a connection on which nothing is pending and which the server has not closed."""
        while (connection := _popped(idle)) is not None:
            try:
                if not connection.can_read(0):
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
            if is_reply(error):
                return error
            raise
        callback = self._callbacks.get(command[0]) if isinstance(command[0], str) else None
        try:
            return reply if callback is None else callback(reply)
        except Exception as error:  # noqa: BLE001  # redis-py's trouble with a reply that was read
            return error

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


class Cluster:
    """A cluster client of our own, made on the first command so that constructing a link does no I/O."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._theirs = client
        self._timeout = timeout
        self._reset()

    def _reset(self) -> None:
        self._client: Any = None
        self._lock = threading.Lock()  # the parent's may have been held at the fork
        self._pid = os.getpid()

    def exchange(self, commands: Sequence[Command], /) -> list[Any]:
        client = self._own_client()
        # One by one: redis-py's cluster pipeline lets a dead shard fail the commands of the others.
        return [self._execute(client, command) for command in commands]

    def _own_client(self) -> Any:
        if self._pid != os.getpid():
            self._reset()
        client = self._client
        if client is None:
            if not self._lock.acquire(timeout=remaining() or 0.0):
                raise Crowded
            try:
                client = self._client
                if client is None:
                    client = self._client = _own.cluster(self._theirs, timeout=self._timeout, bound=bounded)
            finally:
                self._lock.release()
        return client

    def _execute(self, client: Any, command: Command) -> Any:
        try:
            return client.execute_command(*command)
        except Exception as error:
            if is_reply(error):
                return error
            raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        for node in client.get_nodes():
            # The client's own close() leaves these open: it was given their pools and did not make them.
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect()
        client.close()


def transport(client: object, *, timeout: float) -> Transport:
    """Return the way to the server(s) of `client`; raises `ConfigurationError` for what is no such client."""
    kind = Cluster if _own.is_cluster(client, asynchronous=False) else Connections
    return kind(client, timeout=timeout)
