"""PgBouncer, which comes in no wheel: tests that use it are collected where the system has it."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

from tests.servers.lifeline import SYSTEM_PATH, NoServer, Server, as_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def binary() -> str | None:
    """Return the path of `pgbouncer`, or None."""
    return shutil.which("pgbouncer", path=SYSTEM_PATH)


class PgBouncer(Server):
    """A pooler in front of the PostgreSQL on `postgres_port`; `pool_mode` is "transaction" or "session"."""

    def __init__(
        self, postgres_port: int, database: str, *settings: str, pool_mode: str = "transaction"
    ) -> None:
        super().__init__("pgbouncer")
        found = binary()
        if found is None:
            raise NoServer("no pgbouncer found on PATH or among the system's programs")
        self.binary = found
        self.database = database
        self.popen_options = as_nobody()
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={postgres_port} user=postgres",
            "[pgbouncer]",
            f"listen_port = {self.port}",
            "listen_addr = 127.0.0.1",
            "unix_socket_dir =",
            "auth_type = any",
            f"pool_mode = {pool_mode}",
            "default_pool_size = 5",
            *settings,
        ]
        (self.directory / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def _command(self) -> Sequence[str | Path]:
        return [self.binary, self.directory / "pgbouncer.ini"]

    def _ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def url(self, driver: str = "psycopg") -> str:
        """Return the SQLAlchemy URL of the database behind."""
        return f"postgresql+{driver}://postgres@127.0.0.1:{self.port}/{self.database}"
