"""Where a listener's connections lead: to one server, or to each master of a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.redis import _own
from scalekit.redis._resp3 import Reader, Refusal, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOPOLOGY = packed((b"HELLO", b"3"), (b"CLUSTER", b"SLOTS"), (b"CLUSTER", b"NODES"))
"""What to ask a node for the masters of its cluster; three replies."""

_SHORTEST = 8  # the words of a line of CLUSTER NODES, slots apart


class Unknown(Exception):
    """A node does not say who its cluster's masters are."""


def listening(connection_class: type[Any], timeout: float) -> type[Any]:
    """Return a subclass of a redis-py connection class that hands out what it is connected with.

    That is its `channel`: a socket, or the reader and writer of an asyncio stream. Each step of connecting
    may take `timeout` seconds.
    """

    class Ear(connection_class):  # type: ignore[misc]  # the base is the caller's
        # What redis-py would set them to, which may be nothing, is overruled.
        socket_timeout = socket_connect_timeout = property(lambda _: timeout, lambda _, __: None)

        def _connect(self) -> Any:
            # redis-py's abstract method for subclasses: "return a connected socket".
            self.channel = connection_class._connect(self)  # noqa: SLF001  # see above
            return self.channel

    return Ear


def async_listening(connection_class: type[Any], timeout: float) -> type[Any]:
    """Return what `listening` does, for asyncio."""

    class Ear(connection_class):  # type: ignore[misc]  # as above
        socket_timeout = socket_connect_timeout = property(lambda _: timeout, lambda _, __: None)

        async def _connect(self) -> None:
            # Of asyncio connections it opens a stream, whose ends it keeps as `_reader` and `_writer`.
            await connection_class._connect(self)  # noqa: SLF001  # see above
            self.channel = self._reader, self._writer

    return Ear


class OneMaster:
    """Where a plain client leads, or a Sentinel's: to one server.

    `make` returns a connection to it, not yet connected. `sentinels` are the clients with which it may be
    looked up then, to be closed after use.
    """

    def __init__(self, client: Any, *, timeout: float, asynchronous: bool) -> None:
        bound = async_listening if asynchronous else listening
        self._origin = _own.origin(client, timeout=timeout, asynchronous=asynchronous, bound=bound)
        self.make: Callable[[], Any] = self._origin.make
        self.sentinels: Sequence[Any] = self._origin.sentinels


class ClusterMasters:
    """Where a cluster client leads: to its masters, for whom each of the nodes it knows can be asked."""

    sentinels: Sequence[Any] = ()

    def __init__(self, client: Any, *, timeout: float, asynchronous: bool) -> None:
        self._client = client
        self._timeout = timeout
        self._asynchronous = asynchronous

    def seeds(self) -> list[tuple[str, int]]:
        """Return where the nodes are that can be asked."""
        return _own.cluster_addresses(self._client)

    def at(self, host: str, port: int) -> Any:
        """Return a connection to a node, not yet connected."""
        node = _own.cluster_node(self._client, host, port, asynchronous=self._asynchronous)
        return OneMaster(node, timeout=self._timeout, asynchronous=self._asynchronous).make()

    def makers(self, asked: Asked) -> list[Callable[[], Any]]:
        """Return what makes a connection, for each master that a node told of; `Unknown` if of none."""
        remap = self._client.nodes_manager.address_remap
        found = asked.addresses()
        return [partial(self.at, *(address if remap is None else remap(address))) for address in found]


def masters_of(
    client: Any, *, cluster: bool, timeout: float, asynchronous: bool
) -> OneMaster | ClusterMasters:
    """Return where `client` leads."""
    kind = ClusterMasters if cluster else OneMaster
    return kind(client, timeout=timeout, asynchronous=asynchronous)


class Asked:
    """What a node has said so far about the masters of its cluster."""

    def __init__(self, seed: tuple[str, int]) -> None:
        self._seed = seed
        self._reader = Reader()
        self._replies: list[Any] = []

    def heard(self, data: bytes) -> bool:
        """Take in bytes of the answer to `TOPOLOGY`; return whether it is complete."""
        if not data:
            raise Unknown("the node has closed the connection")
        for reply in self._reader.feed(data):
            if isinstance(reply, Refusal):
                raise Unknown(str(reply))
            self._replies.append(reply)
        return len(self._replies) == 3  # noqa: PLR2004  # see TOPOLOGY

    def addresses(self) -> list[tuple[str, int]]:
        """Return where the masters are; `Unknown` if there are none."""
        _, slots, nodes = self._replies
        found = addresses(slots, nodes.decode("utf-8", "replace"), seed=self._seed[0])
        if not found:
            raise Unknown("a cluster without masters")
        return found


def addresses(slots: list[Any], nodes: str, *, seed: str) -> list[tuple[str, int]]:
    """Return host and port of each master, those without slots included: such a one may be about to get some.

    `slots`, of CLUSTER SLOTS, says how clients shall call a master; `nodes`, of CLUSTER NODES, also names
    those without slots, by address and perhaps by name. These are called as the others are.
    """
    known = {
        master[2].decode(): ((master[0] or b"").decode() or seed, int(master[1]))
        for _, _, master, *_ in slots
    }
    by_name = False
    idle: list[tuple[str, str, int]] = []
    for words in (line.split(" ") for line in nodes.splitlines()):
        if len(words) < _SHORTEST or "master" not in words[2].split(","):
            continue
        address, _, rest = words[1].partition(",")
        name = rest.partition(",")[0]
        host, _, port = address.partition("@")[0].rpartition(":")
        if words[0] in known:
            by_name = by_name or (bool(name) and known[words[0]][0] == name)
        elif not {"fail", "noaddr", "handshake"} & set(words[2].split(",")):
            idle.append((host, name, int(port)))
    return [*known.values(), *((name if by_name and name else host, port) for host, name, port in idle)]
