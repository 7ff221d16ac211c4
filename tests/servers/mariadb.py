"""MariaDB, which comes in no wheel: tests that use it are collected where it is found, with PyMySQL."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING

from tests.servers.lifeline import SYSTEM_PATH, NoServer, Server, as_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# What a killed server wrote survives in the system's memory: nothing need reach the disk.
_SETTINGS = (
    "bind-address=127.0.0.1",
    "innodb-flush-log-at-trx-commit=0",
    "innodb-buffer-pool-size=64M",
    "default-time-zone=+00:00",
    "character-set-server=utf8mb4",
    "sql-mode=STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO",  # the tables have rows with the id 0
)


def binary() -> str | None:
    """Return the path of `mariadbd`, or None; None too where there is no driver for it."""
    driver = importlib.util.find_spec("pymysql")
    return shutil.which("mariadbd", path=SYSTEM_PATH) if driver is not None else None


class MariaDB(Server):
    """One server with the database `test`, and the user `root`, who needs no password."""

    def __init__(self, *settings: str) -> None:
        super().__init__("mariadb")
        found, installer = binary(), shutil.which("mariadb-install-db", path=SYSTEM_PATH)
        if found is None or installer is None:
            raise NoServer("no mariadbd found on PATH or among the system's programs, or no PyMySQL")
        self.binary = found
        self.settings = settings
        self.popen_options = as_nobody()  # it does not run as root either
        self.run = self.directory / "run"
        self.run.mkdir()
        # A server that starts clears its directory for temporary files: of /tmp, those of the others too.
        for name in ("tmp", "install"):
            (self.run / name).mkdir()
        if self.popen_options:
            for path in (self.run, *self.run.iterdir()):
                os.chown(path, self.popen_options["user"], self.popen_options["group"])
        words = f"--no-defaults --datadir={self.run}/data --tmpdir={self.run}/install --skip-test-db"
        words += " --auth-root-authentication-method=normal"
        if self.reap(self.spawn([installer, *words.split()]), 60.0) != 0:
            raise NoServer(f"mariadb-install-db failed:\n{self.log[-2_000:]}")

    def _command(self) -> Sequence[str | Path]:
        own = (
            f"port={self.port}",
            f"datadir={self.run}/data",
            f"tmpdir={self.run}/tmp",
            f"socket={self.run}/socket",
        )
        return [self.binary, "--no-defaults", *[f"--{each}" for each in (*_SETTINGS, *own, *self.settings)]]

    def _ready(self) -> bool:
        import pymysql

        try:
            with pymysql.connect(
                host="127.0.0.1", port=self.port, user="root", connect_timeout=1
            ) as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS test")
        except pymysql.err.OperationalError:
            return False
        return True

    @property
    def url(self) -> str:
        """Its SQLAlchemy URL."""
        return f"mariadb+pymysql://root@127.0.0.1:{self.port}/test"
