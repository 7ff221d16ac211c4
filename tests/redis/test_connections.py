"""What becomes of a connection whose call did not end well, over connections that tell."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio

from scalekit.redis._async_connections import AsyncConnections
from scalekit.redis._connections import Connections

COMMANDS = [("ECHO", "a"), ("ECHO", "b")]


class Connection:
    """One of redis-py's that does not disconnect by itself, as its Sentinel connections do not."""

    def __init__(self, ending):
        self.ending = ending
        self.connected = False

    def connect(self):
        self.connected = True

    def disconnect(self):
        self.connected = False

    def is_stirred(self):
        return False

    def pack_commands(self, commands):
        return list(commands)

    def send_packed_command(self, packed, check_health):
        assert check_health is False

    def read_response(self):
        if isinstance(self.ending, BaseException):
            raise self.ending
        return self.ending


class AsyncConnection(Connection):
    async def connect(self):
        super().connect()

    async def disconnect(self, nowait=False):
        super().disconnect()

    async def can_read(self):
        return False

    async def send_packed_command(self, packed, check_health):
        pass

    async def read_response(self):
        return super().read_response()


def sync_exchange(connection, commands):
    connections = Connections(redis.Redis(), timeout=1.0)
    connections._origin = connections._origin._replace(make=lambda: connection)
    return connections, lambda: connections.exchange(commands)


def async_exchange(connection, commands):
    connections = AsyncConnections(redis.asyncio.Redis(), timeout=1.0)
    connections._origin = connections._origin._replace(make=lambda: connection)

    async def exchange():
        replies = {}
        await connections.exchange(commands, replies.__setitem__)
        return list(replies.values())

    return connections, lambda: asyncio.run(exchange())


@pytest.fixture(
    params=[(sync_exchange, Connection), (async_exchange, AsyncConnection)], ids=["sync", "async"]
)
def make(request):
    exchange, kind = request.param

    def made(ending):
        connection = kind(ending)
        return connection, *exchange(connection, COMMANDS)

    return made


@pytest.mark.parametrize("ending", [redis.TimeoutError(), OSError(), SystemExit(), ValueError()], ids=repr)
def test_with_replies_outstanding_it_is_closed_and_dropped(make, ending):
    connection, connections, exchange = make(ending)
    with pytest.raises(type(ending)):
        exchange()
    assert not connection.connected
    assert connections._idle == []


@pytest.mark.parametrize("ending", [b"reply", redis.ResponseError("no")], ids=repr)
def test_with_all_replies_read_it_is_kept(make, ending):
    connection, connections, exchange = make(ending)
    assert exchange() == [ending, ending]
    assert connection.connected
    assert connections._idle == [connection]
