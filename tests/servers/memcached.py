"""Memcached, which comes in no wheel: tests that use it are collected where it is found, with pymemcache."""

from __future__ import annotations

import getpass
import importlib.util
import shutil
import socket
from typing import TYPE_CHECKING

from tests.servers.lifeline import SYSTEM_PATH, NoServer, Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def binary() -> str | None:
    """Return the path of `memcached`, or None; None too where there is no driver for it."""
    driver = importlib.util.find_spec("pymemcache")
    return shutil.which("memcached", path=SYSTEM_PATH) if driver is not None else None


class Memcached(Server):
    """One server."""

    def __init__(self) -> None:
        super().__init__("memcached")
        found = binary()
        if found is None:
            raise NoServer("no memcached found on PATH or among the system's programs, or no pymemcache")
        self.binary = found

    @property
    def url(self) -> str:
        return f"memcached://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str | Path]:
        return [self.binary, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-u", getpass.getuser()]

    def _ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True
