"""What every test server shares: a process with a port and a directory, none of which survives the run."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.watchdog import family, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SYSTEM_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"]
)
# Below every system's ephemeral ports (Linux 32768-, macOS 49152-), with room for the cluster bus at +10000:
# a client that knocks on the port of a stopped server must not be given that very port to knock from.
_PORTS = range(11_000, 22_000)
BUS_OFFSET = 10_000

_watchdog: subprocess.Popen[bytes] | None = None


class NoServer(Exception):
    """A server could not be found or started. Never a reason to skip."""


def _tell(word: str, value: object) -> None:
    """Tell the watchdog; the first message starts it."""
    global _watchdog  # noqa: PLW0603  # one per process, as the servers it watches are the process's own
    if _watchdog is None:
        script = Path(__file__).with_name("watchdog.py")
        _watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        atexit.register(_close, _watchdog, os.getpid())
    assert _watchdog.stdin is not None
    _watchdog.stdin.write(f"{word} {value}\n".encode())
    _watchdog.stdin.flush()


def _close(watchdog: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a forked child must not end its parent's servers
        return
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    watchdog.wait(10)


def directory(purpose: str) -> Path:
    """Make a directory, readable by other users, that is removed when the run is over."""
    # A short path: a Unix socket in it has 103 bytes at most, which the usual directory of macOS exceeds.
    path = Path("/tmp", f"scalekit-{purpose}-{os.getpid()}-{random.randrange(16**8):08x}")
    _tell("dir", path)
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    return path


def free_port() -> int:
    """Return a port that is free together with its cluster bus port."""
    for _ in range(200):
        port = random.choice(_PORTS)
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + BUS_OFFSET):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
    raise NoServer("no free port found")


def wait_until(condition: Callable[[], object], what: str, *, timeout: float = 15.0) -> None:
    """Wait for `condition`; an `OSError` in it means not yet. Raises `NoServer` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise NoServer(f"waited {timeout:.0f} s in vain until {what}")
        time.sleep(0.004)


def as_nobody() -> dict[str, Any]:
    """Return what makes `Popen` drop root, for servers that refuse to run as root; for others nothing."""
    if os.geteuid() != 0:
        return {}
    import pwd

    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """One server process: a port on 127.0.0.1, a directory with its log, and ways to harm it.

    A subclass gives `_command()` and `_ready()`. All methods block: from an async test call them in a
    thread (`await anyio.to_thread.run_sync(server.restart)`).
    """

    popen_options: Mapping[str, Any] = {}

    def __init__(self, purpose: str, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = directory(purpose)
        self.process: subprocess.Popen[bytes] | None = None

    def _command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def launch(self) -> None:
        """Start the process; `wait_ready` tells when it answers."""
        self.process = self.spawn(self._command())

    def spawn(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        """Start `command` under the watchdog's eye, in a process group of its own, writing to the log."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment | {"LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                **self.popen_options,
            )
        _tell("start", process.pid)
        return process

    def reap(self, process: subprocess.Popen[bytes], timeout: float = 10.0) -> int:
        """Wait for a process of ours to end; the watchdog forgets it, for its number may be used again."""
        status = process.wait(timeout)
        _tell("gone", process.pid)
        return status

    def wait_ready(self) -> None:
        """Wait until the server answers. Raises `NoServer`, with the end of the log, when it does not."""

        def answers() -> bool:
            if self.process is None or self.process.poll() is not None:
                raise NoServer(f"{type(self).__name__} did not start:\n{self.log[-2_000:]}")
            return self._ready()

        wait_until(answers, f"{type(self).__name__} on port {self.port} answers")

    def start(self) -> None:
        """Start and wait until the server answers."""
        self.launch()
        self.wait_ready()

    def _signal(self, number: int) -> None:
        send(family(self.pid), number)

    def freeze(self) -> None:
        """Hang the server: connections stay open, nothing answers (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on; harmless for one that is not."""
        if self.process is not None:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL); it may be started again."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.reap(self.process)
            self.process = None

    def stop(self) -> None:
        """Shut the server down in an orderly way, frozen or not; it may be started again."""
        if self.process is None:
            return
        self.thaw()
        self.process.send_signal(signal.SIGINT)
        try:
            self.reap(self.process, 5.0)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def restart(self) -> None:
        """Stop if running, and start again on the same port."""
        self.stop()
        self.start()

    def restore(self) -> None:
        """Undo whatever a test did to the process: thaw it, or start it again."""
        if self.process is not None and self.process.poll() is not None:
            self.reap(self.process)
            self.process = None
        if self.process is None:
            self.start()
        self.thaw()

    def close(self) -> None:
        """Stop for good and remove the directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
