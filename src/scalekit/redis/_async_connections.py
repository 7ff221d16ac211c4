"""How an async link reaches the server: its own connections, or a cluster client of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalekit.redis import _own
from scalekit.redis._failure import is_failure, is_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.redis._batches import AsyncTransport, Command, Deliver


class AsyncConnections:
    """Connections of one event loop to one server; the pipeline of a run goes over one of them."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        # Without redis-py's own time-outs each reply costs a third: the run is cancelled as a whole.
        self._origin = _own.origin(
            client, timeout=timeout, asynchronous=True, bound=lambda connection_class, _: connection_class
        )
        self._callbacks = client.response_callbacks
        self._idle: list[Any] = []

    async def exchange(self, commands: Sequence[Command], deliver: Deliver, /) -> None:
        connection = await self._ready()
        try:
            sent, packed = _packed(connection, commands, deliver)
            await connection.send_packed_command(packed, check_health=False)
            for index in sent:
                deliver(index, await self._read(connection, commands[index]))
        except BaseException:
            await connection.disconnect(nowait=True)  # an unread reply must never reach the next command
            raise
        self._idle.append(connection)

    async def _read(self, connection: Any, command: Command) -> Any:
        try:
            reply = await connection.read_response()
        except Exception as error:
            if is_reply(error):
                return error
            raise
        callback = self._callbacks.get(command[0]) if isinstance(command[0], str) else None
        try:
            return reply if callback is None else callback(reply)
        except Exception as error:  # noqa: BLE001  # an unexpected shape is this caller's trouble alone
            return error

    async def _ready(self) -> Any:
        """Return a connection on which nothing is pending and which the server has not closed."""
        while self._idle:
            connection = self._idle.pop()
            try:
                # redis-py 8 renamed the check; the new one leaves pending data in place.
                check = getattr(connection, "can_read", connection.can_read_destructive)
                if not await check():
                    return connection
            except Exception as error:
                if not is_failure(error):
                    raise
            await connection.disconnect(nowait=True)
        connection = self._origin.make()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)
        for sentinel in self._origin.sentinels:
            await sentinel.connection_pool.disconnect()
        await asyncio.sleep(0)  # lets the transports close


def _packed(connection: Any, commands: Sequence[Command], deliver: Deliver) -> tuple[Sequence[int], Any]:
    """Return the indices of the commands that can be sent, and their bytes.

    A command that cannot be encoded is its own caller's trouble, and no reason to fail the batch.
    """
    try:
        return range(len(commands)), connection.pack_commands(commands)
    except Exception:  # noqa: BLE001  # find out whose it is
        good: list[int] = []
        for index, command in enumerate(commands):
            try:
                connection.pack_command(*command)
            except Exception as error:  # noqa: BLE001  # given to its caller
                deliver(index, error)
            else:
                good.append(index)
        return good, connection.pack_commands([commands[index] for index in good])


class AsyncCluster:
    """A cluster client of our own on one event loop.

    Each command goes its own way: redis-py's cluster pipeline lets one dead shard fail the commands of
    all the others, and one command without a key those with one.
    """

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._client = _own.async_cluster(client, timeout=timeout)

    async def exchange(self, commands: Sequence[Command], deliver: Deliver, /) -> None:
        # Before they start side by side: initializing at once, they close each other's connections.
        await self._client.initialize()
        await asyncio.gather(
            *(self._execute(index, command, deliver) for index, command in enumerate(commands))
        )

    async def _execute(self, index: int, command: Command, deliver: Deliver) -> None:
        try:
            deliver(index, await self._client.execute_command(*command))
        except Exception as error:  # noqa: BLE001  # it is this caller's, and no other's
            deliver(index, error)

    async def close(self) -> None:
        await self._client.aclose()
        # After a failed command redis-py means to begin anew, and its aclose() does nothing.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._client.nodes_manager.aclose(nodes)


def async_transport(client: object, *, cluster: bool, timeout: float) -> AsyncTransport:
    """Return the way to the server(s) of `client` for the running event loop."""
    return (AsyncCluster if cluster else AsyncConnections)(client, timeout=timeout)
