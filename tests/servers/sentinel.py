"""A master with a replica, watched by Redis Sentinels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.lifeline import free_port, wait_until
from tests.servers.redis import RedisServer, wait_for_replica

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "mymaster"


class _SentinelServer(RedisServer):
    def __init__(self, binary: str, port: int, configuration: str) -> None:
        super().__init__(binary, port=port)
        self.configuration = f"port {port}\nbind 127.0.0.1\ndir {self.directory}\n{configuration}"

    def _command(self) -> Sequence[str | Path]:
        path = self.directory / "sentinel.conf"
        if not path.exists():  # a sentinel writes what it learnt into its configuration
            path.write_text(self.configuration)
        return [self.binary, path, "--sentinel"]


class Sentinel:
    """`name` is the master's name; `addresses` is what `redis.sentinel.Sentinel` takes."""

    name = NAME

    def __init__(self, binary: str, *, sentinels: int = 3, down_after_ms: int = 300) -> None:
        self.master = RedisServer(binary)
        self.replica = RedisServer(binary, replica_of=self.master.port)
        self.master.start()
        self.replica.start()
        wait_for_replica(self.replica)
        # Told about each other in advance: finding out by themselves takes them more than 7 s.
        ports = [free_port() for _ in range(sentinels)]
        ids = [f"{number:040x}" for number in range(1, sentinels + 1)]
        self.sentinels = []
        for own, port in enumerate(ports):
            peers = [
                f"sentinel known-sentinel {NAME} 127.0.0.1 {peer} {identity}"
                for peer, identity in zip(ports, ids, strict=True)
                if peer != port
            ]
            lines = [
                f"sentinel myid {ids[own]}",
                f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} {sentinels // 2 + 1}",
                f"sentinel down-after-milliseconds {NAME} {down_after_ms}",
                f"sentinel failover-timeout {NAME} 2000",
                f"sentinel known-replica {NAME} 127.0.0.1 {self.replica.port}",
                *peers,
            ]
            self.sentinels.append(_SentinelServer(binary, port, "\n".join(lines) + "\n"))
        for server in self.sentinels:
            server.launch()
        for server in self.sentinels:
            server.wait_ready()
        wait_until(self._agreed, "the sentinels know the replica and each other")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", server.port) for server in self.sentinels]

    def _agreed(self) -> bool:
        for server in self.sentinels:
            words = server.cmd("SENTINEL", "MASTER", NAME)
            facts = dict(zip(words[::2], words[1::2], strict=True))
            others = int(facts[b"num-other-sentinels"])
            if (
                facts[b"flags"] != b"master"
                or int(facts[b"num-slaves"]) != 1
                or others != len(self.sentinels) - 1
            ):
                return False
        return True

    def close(self) -> None:
        for server in (*self.sentinels, self.replica, self.master):
            server.close()
