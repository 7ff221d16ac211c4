"""How an async link reaches one server: a stack of connections of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalekit.redis import _own
from scalekit.redis._failure import is_demotion, is_failure, is_reply
from scalekit.redis._packed import Packed, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.redis._packed import Command
    from scalekit.redis._transport import Deliver


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
        idle = self._idle  # another list by the end if the connections were closed meanwhile
        connection = await self._ready()
        try:
            sent, wire = _packed(connection, commands, deliver)
            await connection.send_packed_command(wire, check_health=False)
            for index in sent:
                deliver(index, await self._read(connection, commands[index]))
        except BaseException:
            await connection.disconnect(nowait=True)  # an unread reply must never reach the next command
            raise
        if idle is self._idle:
            idle.append(connection)
        else:
            await connection.disconnect(nowait=True)

    async def _read(self, connection: Any, command: Command) -> Any:
        try:
            reply = await connection.read_response()
        except Exception as error:
            if not is_reply(error):
                raise
            if is_demotion(error):
                await self.close()  # the address may lead to another server by now, and this one lags behind
            return error
        if isinstance(command, Packed):
            return reply
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
            except BaseException as error:
                await connection.disconnect(nowait=True)  # also if cancelled here: nobody else knows of it
                if not is_failure(error):
                    raise
            else:
                await connection.disconnect(nowait=True)
        connection = self._origin.make()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    @property
    def is_connected(self) -> bool:
        """Whether a connection is there, to be used."""
        return bool(self._idle)

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        while idle:
            await idle.pop().disconnect(nowait=True)
        for sentinel in self._origin.sentinels:
            await sentinel.connection_pool.disconnect()
        await asyncio.sleep(0)  # lets the transports close


def _packed(connection: Any, commands: Sequence[Command], deliver: Deliver) -> tuple[Sequence[int], Any]:
    """Return the indices of the commands that can be sent, and their bytes.

    A command that cannot be encoded is its own caller's trouble, and no reason to fail the batch.
    """
    try:
        return range(len(commands)), packed(connection, commands)
    except Exception:  # noqa: BLE001  # find out whose it is
        good: list[int] = []
        for index, command in enumerate(commands):
            try:
                packed(connection, [command])
            except Exception as error:  # noqa: BLE001  # given to its caller
                deliver(index, error)
            else:
                good.append(index)
        return good, packed(connection, [commands[index] for index in good])
