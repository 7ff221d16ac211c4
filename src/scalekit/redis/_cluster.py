"""How a blocking link reaches a Redis Cluster: connections of its own to every master.

All nodes are sent their commands before the first reply is read, so a call takes as long as its slowest node
and not as their sum; redis-py's cluster pipeline took 2.8 times as long. Only masters are asked. A node that
fails costs its own commands. The next call that would lead to it asks the others first who serves its slots.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from scalekit.redis import _own
from scalekit.redis._connections import Connections
from scalekit.redis._deadline import bounded, remaining, set_deadline
from scalekit.redis._failure import Crowded, is_failure, is_reply, not_served
from scalekit.redis._slots import Scatter, SlotMap, in_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.redis._packed import Command
    from scalekit.redis._slots import Address, Errand


class Cluster:
    """One stack of connections per node, and a map of the slots, made on the first command."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._theirs = client
        self._timeout = timeout
        self._share = timeout * _own.NODE_SHARE
        self._reset()

    def _reset(self) -> None:
        self._nodes: dict[Address, Connections] = {}
        self._slots = SlotMap()
        self._doubted: set[Address] = set()  # nodes that failed since the map was made
        self._by_redis_py = ByRedisPy(self._theirs, timeout=self._timeout)
        self._pid = os.getpid()

    def exchange(self, commands: Sequence[Command], /) -> list[Any]:
        if self._pid != os.getpid():
            self._reset()  # the parent's connections, and a map that it may have been about to change
        scatter = self._scatter(commands)
        while errands := scatter.errands():
            turn = _Turn(scatter, self._doubted, until=monotonic() + self._share)
            try:
                for errand in errands:
                    turn.send(errand, self._node(errand.address))
                turn.receive()
            finally:
                turn.end()
        for place in scatter.orphans:
            scatter.replies[place] = not_served()
        for place in scatter.others:
            scatter.replies[place] = self._by_redis_py.execute(commands[place])
        return scatter.replies

    def _scatter(self, commands: Sequence[Command]) -> Scatter:
        """Say where `commands` go, by a map that is new where the old one leads to a node that failed."""
        if not self._slots.nodes:
            self._learn()
        scatter = Scatter(self._slots, commands)
        if scatter.orphans or scatter.leads_to(self._doubted):
            try:
                self._learn()
            except Exception as error:
                if not is_failure(error) and not is_reply(error) and not isinstance(error, Crowded):
                    raise
            else:
                scatter = Scatter(self._slots, commands)
        return scatter

    def _node(self, address: Address) -> Connections:
        node = self._nodes.get(address)
        if node is None:
            client = _own.cluster_node(self._theirs, *address, asynchronous=False)
            node = self._nodes.setdefault(address, Connections(client, timeout=self._share))
        return node

    def _learn(self) -> None:
        """Ask the nodes, one after the other, who has which slot."""
        connected = [address for address, node in list(self._nodes.items()) if node.is_connected]
        known = [*self._slots.nodes, *_own.cluster_addresses(self._theirs)]
        failure: Exception | None = None
        for address, share in in_turn(connected, known, self._doubted):
            left = remaining()
            if left == 0.0:
                break
            outer = set_deadline(None if left is None else monotonic() + left * share)
            try:
                (reply,) = self._node(address).exchange([("CLUSTER", "SLOTS")])
            except Exception as error:
                if not is_failure(error):
                    raise
                failure = error
            else:
                if not isinstance(reply, Exception):
                    self._slots = SlotMap(reply, address, self._theirs.nodes_manager.address_remap)
                    self._doubted = set()
                    self._forget_the_gone()
                    return
                failure = reply
            finally:
                set_deadline(outer)
        raise failure or ConnectionError("no node of the cluster is known")

    def _forget_the_gone(self) -> None:
        for address in self._nodes.keys() - set(self._slots.nodes):
            self._nodes.pop(address).close()

    def close(self) -> None:
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            node.close()
        self._by_redis_py.close()


class _Turn:
    """Commands on their way to several nodes at once; what is not answered `until` then is a failure."""

    def __init__(self, scatter: Scatter, doubted: set[Address], *, until: float) -> None:
        self._scatter = scatter
        self._doubted = doubted
        self._until = until
        self._under_way: dict[int, tuple[Errand, Connections, Any, list[Any]]] = {}

    def send(self, errand: Errand, node: Connections) -> None:
        try:
            connection, idle = node.send(errand.commands)
        except Exception as error:  # noqa: BLE001  # judged there
            self._failed_with(errand, error)
        else:
            self._under_way[connection.link_socket.fileno()] = errand, node, connection, idle

    def receive(self) -> None:
        """Read the replies as they come in, so that a node that hangs holds up no other."""
        while self._under_way:
            alone = len(self._under_way) == 1
            ready = list(self._under_way) if alone else _readable(self._under_way, self._until - monotonic())
            if not ready:
                break
            for descriptor in ready:
                errand, node, connection, idle = self._under_way.pop(descriptor)
                try:
                    self._answered(errand, node.receive(connection, idle, errand.commands))
                except Exception as error:  # noqa: BLE001  # judged there
                    self._failed_with(errand, error)

    def end(self) -> None:
        """Give up what is still under way."""
        for errand, node, connection, _ in self._under_way.values():
            node.abandon(connection)
            self._failed_with(errand, TimeoutError("the node did not answer"))
        self._under_way = {}

    def _answered(self, errand: Errand, replies: Sequence[Any]) -> None:
        for place, reply in zip(errand.places, replies, strict=True):
            if place >= 0:
                self._scatter.take(place, reply, errand.address)

    def _failed_with(self, errand: Errand, error: Exception) -> None:
        if is_failure(error):
            self._doubted.add(errand.address)
        elif not isinstance(error, Crowded):
            raise error
        self._answered(errand, [error] * len(errand.places))


def _readable(descriptors: Iterable[int], seconds: float) -> list[int]:
    """Return which of the sockets can be read, within `seconds`; none if none can by then."""
    seconds = max(0.0, seconds)
    if sys.platform == "win32":  # where there is no poll(), and select() takes any descriptor
        return select.select(list(descriptors), (), (), seconds)[0]
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1_000)]


class ByRedisPy:
    """redis-py's own cluster client, for commands that only it can place; made when first needed."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._theirs = client
        self._timeout = timeout
        self._client: Any = None
        self._lock = threading.Lock()

    def execute(self, command: Command) -> Any:
        try:
            return self._own_client().execute_command(*cast("tuple[Any, ...]", command))  # Packed has a key
        except Exception as error:
            if is_reply(error):
                return error
            raise

    def _own_client(self) -> Any:
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

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        for node in client.get_nodes():
            # The client's own close() leaves these open: it was given their pools and did not make them.
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect()
        client.close()
