"""A Redis Cluster, formed without redis-cli."""

from __future__ import annotations

import contextlib
import itertools

from tests.servers.lifeline import wait_until
from tests.servers.redis import RedisError, RedisServer, wait_for_replica

SLOTS = 16_384


class RedisCluster:
    """`masters` masters, each with `replicas` replicas; a part that is down leaves the rest serving.

    Up in about 2 s: that long a fresh master refuses writes. `nodes` starts with the masters.
    """

    def __init__(
        self, binary: str, *, masters: int = 3, replicas: int = 0, node_timeout_ms: int = 1_000
    ) -> None:
        options = (
            f"--cluster-enabled yes --cluster-node-timeout {node_timeout_ms} "
            "--cluster-config-file nodes.conf --cluster-require-full-coverage no"
        ).split()
        self.nodes = [RedisServer(binary, *options) for _ in range(masters * (1 + replicas))]
        self.masters = self.nodes[:masters]
        self.replicas = self.nodes[masters:]
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready()
        self._share_slots()
        for node in self.nodes[1:]:
            node.cmd("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        wait_until(self.whole, "the cluster is formed")
        if replicas:
            self._follow()

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def whole(self) -> bool:
        """Tell whether every node sees every node and all slots."""
        signs = (b"cluster_state:ok", b"cluster_known_nodes:%d\r" % len(self.nodes), b"slots_ok:%d\r" % SLOTS)
        return all(all(sign in node.cmd("CLUSTER", "INFO") for sign in signs) for node in self.nodes)

    def master_of(self, key: str) -> RedisServer:
        """Return the node that was given the slot of `key` at the start."""
        slot = self.nodes[0].cmd("CLUSTER", "KEYSLOT", key)
        return self.masters[next(i for i, (low, high) in enumerate(self._ranges()) if low <= slot < high)]

    def _ranges(self) -> list[tuple[int, int]]:
        bounds = [round(SLOTS * i / len(self.masters)) for i in range(len(self.masters) + 1)]
        return list(itertools.pairwise(bounds))

    def _share_slots(self) -> None:
        for epoch, (node, (low, high)) in enumerate(zip(self.masters, self._ranges(), strict=True), start=1):
            node.cmd("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            node.cmd("CLUSTER", "ADDSLOTS", *range(low, high))  # ADDSLOTSRANGE came with 7.0

    def _follow(self) -> None:
        masters = [node.cmd("CLUSTER", "MYID") for node in self.masters]
        for number, replica in enumerate(self.replicas):

            def accepted(
                replica: RedisServer = replica, master: bytes = masters[number % len(masters)]
            ) -> bool:
                with contextlib.suppress(RedisError):  # it has not heard of its master yet
                    return bool(replica.cmd("CLUSTER", "REPLICATE", master) == b"OK")
                return False

            wait_until(accepted, "a replica accepts its master")
        for replica in self.replicas:
            wait_for_replica(replica)
        wait_until(
            lambda: all(n.cmd("CLUSTER", "NODES").count(b"slave") == len(self.replicas) for n in self.nodes),
            "every node knows the replicas",
        )

    def move_of(self, key: str) -> SlotMove:
        """Return the move of the slot of `key` to another master, not yet begun."""
        source = self.master_of(key)
        target = next(master for master in self.masters if master is not source)
        return SlotMove(self, self.nodes[0].cmd("CLUSTER", "KEYSLOT", key), source, target)

    def flush(self) -> None:
        """Empty every master."""
        for node in self.masters:
            node.flush()

    def restore(self) -> None:
        """Undo what a test did to the processes of a cluster without replicas."""
        for node in self.nodes:
            node.restore()
        wait_until(self.whole, "the cluster is whole again")

    def close(self) -> None:
        for node in self.nodes:
            node.close()


class SlotMove:
    """The move of a slot from its home to another master, step by step."""

    def __init__(self, cluster: RedisCluster, slot: int, home: RedisServer, target: RedisServer) -> None:
        self._nodes = cluster.nodes
        self._slot = slot
        self._home = home
        self._source, self._target = home, target

    def begin(self) -> None:
        """Let both know; the source still has every key."""
        self._target.cmd("CLUSTER", "SETSLOT", self._slot, "IMPORTING", self._source.cmd("CLUSTER", "MYID"))
        self._source.cmd("CLUSTER", "SETSLOT", self._slot, "MIGRATING", self._target.cmd("CLUSTER", "MYID"))

    def take(self, *keys: bytes) -> None:
        """Move some keys."""
        for key in keys:
            self._source.cmd("MIGRATE", "127.0.0.1", self._target.port, key, 0, 1_000)

    def end(self) -> None:
        """Move the rest, and the slot itself, of which every node knows in the end."""
        while keys := self._source.cmd("CLUSTER", "GETKEYSINSLOT", self._slot, 100):
            self.take(*keys)
        owner = self._target.cmd("CLUSTER", "MYID")
        for node in (self._target, self._source):  # in this order the new owner's word counts
            node.cmd("CLUSTER", "SETSLOT", self._slot, "NODE", owner)
        wait_until(lambda: all(self._owner(node) == owner for node in self._nodes), "all know of the move")
        self._source, self._target = self._target, self._source

    def undo(self) -> None:
        """Bring the slot home, wherever its move has got to."""
        if self._source is self._home:
            for node in (self._source, self._target):
                node.cmd("CLUSTER", "SETSLOT", self._slot, "STABLE")
        else:
            self.begin()
            self.end()

    def _owner(self, node: RedisServer) -> bytes | None:
        for first, last, master, *_ in node.cmd("CLUSTER", "SLOTS"):
            if first <= self._slot <= last:
                return bytes(master[2])
        return None
