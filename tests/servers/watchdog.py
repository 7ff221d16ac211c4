"""Ends the servers of a test run when the run is over, however it ended. Run as a script by `lifeline`.

Standard input carries one word and one value per line: `dir PATH`, `start PID`, `gone PID`. The run is over
at the end of the input or when our parent changed: a forked worker may hold the input open for longer than
the run that was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

PROC = Path("/proc")
POLL_SECONDS = 0.1
GRACE_SECONDS = 1.5
REMOVE_SECONDS = 5.0


def watch() -> tuple[set[int], list[str]]:
    """Follow the run to its end; return the servers then alive and every directory."""
    parent, pids, directories, rest = os.getppid(), set(), [], b""
    while os.getppid() == parent:
        if not select.select([0], [], [], POLL_SECONDS)[0]:
            continue
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "dir":
                directories.append(value)
            elif word == "start":
                pids.add(int(value))
            else:
                pids.discard(int(value))
    return pids, directories


def processes() -> dict[int, int]:
    """Return every living process with its parent."""
    if not (PROC / "self").exists():  # macOS; small Linux images, in turn, have no ps
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True, check=True
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
    parents = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                parents[int(stat.parent.name)] = int(parent)
    return parents


def family(*pids: int) -> list[int]:
    """Return `pids` and their descendants: a PostgreSQL session is a process in a session of its own."""
    parents, found = processes(), list(pids)
    for member in found:
        found += [pid for pid, parent in parents.items() if parent == member]
    return found


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end(pids: set[int]) -> None:
    """Ask the servers to stop (PostgreSQL leaks shared memory when it is only killed), then insist."""
    everyone = family(*pids)
    send(everyone, signal.SIGCONT)
    send(list(pids), signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and not processes().keys().isdisjoint(everyone):
        time.sleep(0.02)
    # Only what is still a descendant, for a number may have been given to a stranger meanwhile.
    send([pid for pid in family(*pids) if pid in everyone], signal.SIGKILL)


def remove(directories: list[str]) -> None:
    """Remove the directories, again while a dying server still writes into one."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while any(Path(path).exists() for path in directories) and time.monotonic() < deadline:
        for path in directories:
            shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.02)


if __name__ == "__main__":
    servers, paths = watch()
    end(servers)
    remove(paths)
