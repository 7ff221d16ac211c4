"""How an async link reaches a Redis Cluster: connections of its own to every master, on one event loop.

As `_cluster` does it for threads. redis-py's own client takes a connection for each command; here the
commands of one tick travel together, one pipeline to each node.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalekit.redis import _own
from scalekit.redis._async_connections import AsyncConnections
from scalekit.redis._failure import is_failure, is_reply, not_served
from scalekit.redis._slots import Scatter, SlotMap, in_turn

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from scalekit.redis._packed import Command
    from scalekit.redis._slots import Address, Errand
    from scalekit.redis._transport import Deliver


class AsyncCluster:
    """One stack of connections per node, and a map of the slots, made on the first command."""

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._theirs = client
        self._timeout = timeout
        self._share = timeout * _own.NODE_SHARE
        self._nodes: dict[Address, AsyncConnections] = {}
        self._slots = SlotMap()
        self._doubted: set[Address] = set()  # nodes that failed since the map was made
        # For commands that only redis-py can place; it connects with the first.
        self._by_redis_py = _own.async_cluster(client, timeout=timeout)

    async def exchange(self, commands: Sequence[Command], deliver: Deliver, /) -> None:
        scatter = await self._scatter(commands)
        others = [self._other(commands, scatter.others, deliver)] if scatter.others else []
        while errands := scatter.errands():
            await _all([*others, *(self._run(errand, scatter, deliver) for errand in errands)])
            others = []
        await _all(others)
        for place in scatter.orphans:
            deliver(place, not_served())

    async def _scatter(self, commands: Sequence[Command]) -> Scatter:
        """Say where `commands` go, by a map that is new where the old one leads to a node that failed."""
        if not self._slots.nodes:
            await self._learn()
        scatter = Scatter(self._slots, commands)
        if scatter.orphans or scatter.leads_to(self._doubted):
            try:
                await self._learn()
            except Exception as error:
                if not is_failure(error) and not is_reply(error):
                    raise
            else:
                scatter = Scatter(self._slots, commands)
        return scatter

    async def _run(self, errand: Errand, scatter: Scatter, deliver: Deliver) -> None:
        """Send an errand and deliver the replies, or the node's failure in their place."""
        open_places = dict(enumerate(errand.places))

        def answered(index: int, reply: Any) -> None:
            place = open_places.pop(index)
            if place >= 0 and scatter.take(place, reply, errand.address):
                deliver(place, reply)

        try:
            # Not all of the deadline: the runs are few, and one that waits for a node that hangs may have
            # commands for others as well, as may those that wait for a run.
            async with asyncio.timeout(self._share):
                await self._node(errand.address).exchange(errand.commands, answered)
        except BaseException as error:
            self._doubted.add(errand.address)  # if we were cancelled, too: perhaps for its silence
            if not is_failure(error):
                raise
            for place in open_places.values():
                if place >= 0:
                    deliver(place, error)

    async def _other(self, commands: Sequence[Command], places: Sequence[int], deliver: Deliver) -> None:
        # Before they start side by side: initializing at once, they close each other's connections.
        await self._by_redis_py.initialize()
        await _all([self._execute(place, commands[place], deliver) for place in places])

    async def _execute(self, place: int, command: Any, deliver: Deliver) -> None:
        try:
            deliver(place, await self._by_redis_py.execute_command(*command))
        except Exception as error:  # noqa: BLE001  # it is this caller's, and no other's
            deliver(place, error)

    def _node(self, address: Address) -> AsyncConnections:
        node = self._nodes.get(address)
        if node is None:
            client = _own.cluster_node(self._theirs, *address, asynchronous=True)
            node = self._nodes[address] = AsyncConnections(client, timeout=self._share)
        return node

    async def _learn(self) -> None:
        """Ask the nodes, one after the other, who has which slot."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeout
        connected = [address for address, node in self._nodes.items() if node.is_connected]
        known = [*self._slots.nodes, *_own.cluster_addresses(self._theirs)]
        failure: Exception | None = None
        for address, share in in_turn(connected, known, self._doubted):
            replies: dict[int, Any] = {}
            left = ends - loop.time()
            if left <= 0.0:
                break
            try:
                async with asyncio.timeout(left * share):
                    await self._node(address).exchange([("CLUSTER", "SLOTS")], replies.__setitem__)
            except Exception as error:
                if not is_failure(error):
                    raise
                failure = error
                continue
            if not isinstance(replies[0], Exception):
                self._slots = SlotMap(replies[0], address, self._theirs.nodes_manager.address_remap)
                self._doubted = set()
                await self._forget_the_gone()
                return
            failure = replies[0]
        raise failure or ConnectionError("no node of the cluster is known")

    async def _forget_the_gone(self) -> None:
        gone = [self._nodes.pop(address) for address in self._nodes.keys() - set(self._slots.nodes)]
        for node in gone:  # all are out of reach before the first await
            await node.close()

    async def close(self) -> None:
        while self._nodes:
            await self._nodes.popitem()[1].close()
        await self._by_redis_py.aclose()
        # After a failed command redis-py means to begin anew, and its aclose() does nothing.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._by_redis_py.nodes_manager.aclose(nodes)


async def _all(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run `coroutines` side by side; one alone needs no task."""
    if len(coroutines) == 1:
        await coroutines[0]
    elif coroutines:
        await asyncio.gather(*coroutines)
