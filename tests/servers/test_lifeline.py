from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import postgres
from tests.servers.lifeline import free_port, wait_until
from tests.servers.watchdog import family, processes

pytestmark = pytest.mark.usefixtures("starts_servers")

ROOT = Path(__file__).parents[2]

RUN = """
import os, sys, time
from tests.servers import postgres, redis
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
servers = [RedisServer(redis.preferred()) for _ in range(2)]
if "killed" in sys.argv:
    servers += [PostgresServer(postgres.preferred()) for _ in range(2)]
for server in servers:
    server.start()
for server in servers[::2]:
    server.freeze()
if "killed" in sys.argv and os.fork() == 0:
    time.sleep(60)  # a forked worker holds the run's pipes open
print(*[server.pid for server in servers], *[server.directory for server in servers], flush=True)
if "killed" in sys.argv:
    time.sleep(60)
"""


def run(end):
    """Start servers, some frozen, from another process; return it with every process and directory it has."""
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, end], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    assert child.stdout is not None
    words = child.stdout.readline().split()
    child.stdout.close()
    directories = [Path(word) for word in words if not word.isdigit()]
    assert directories
    assert all(path.exists() for path in directories)
    return child, family(*[int(word) for word in words if word.isdigit()]), directories


def vanished(pids, directories):
    return processes().keys().isdisjoint(pids) and not any(path.exists() for path in directories)


@pytest.mark.slow
def test_no_server_and_no_directory_survives_a_killed_run():
    child, pids, directories = run("killed")
    try:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        wait_until(lambda: vanished(pids, directories), "servers and directories are gone", timeout=6)
    finally:
        os.killpg(child.pid, signal.SIGKILL)  # the forked worker


def test_nothing_survives_a_run_that_forgot_to_stop_its_servers():
    child, pids, directories = run("forgot")
    child.wait(15)
    wait_until(lambda: vanished(pids, directories), "servers and directories are gone", timeout=6)


@pytest.mark.slow
def test_a_killed_pytest_leaves_nothing(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text(
        "import time\n"
        "def test(own_redis, postgres, tmp_path_factory):\n"
        f"    with open({str(tmp_path / 'facts')!r}, 'w') as facts:\n"
        "        print(own_redis.pid, postgres.pid, own_redis.directory, postgres.directory, file=facts)\n"
        "    time.sleep(60)\n"
    )
    facts = tmp_path / "facts"
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(ROOT), str(test)],
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    wait_until(lambda: facts.read_text().endswith("\n"), "the inner test runs", timeout=30)
    words = facts.read_text().split()
    pids, directories = family(*map(int, words[:2])), [Path(word) for word in words[2:]]
    child.kill()
    child.wait(10)
    wait_until(lambda: vanished(pids, directories), "servers and directories are gone", timeout=6)


def test_a_free_port_leaves_room_for_the_cluster_bus():
    assert all(1024 < free_port() < 32_768 - 10_000 for _ in range(20))


def test_postgres_is_found():
    assert postgres.preferred().joinpath("bin", "initdb").exists()
