"""Nothing stale in a race of several processes, and the race finds each planted fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cache.tiered_race import Shared

PROCESSES = 3
pytestmark = pytest.mark.timeout(140)  # it is about orders, not about time; faulthandler ends all at 150


def race(tmp_path, url, prefix, *, kind, reads, mutant=""):
    """Return (reads, of them from the near tier, invalidations, stale) of all processes together."""
    file = tmp_path / "shared"
    Shared.create(file, PROCESSES)
    command = [sys.executable, "-m", "tests.cache.tiered_race", "--url", url, "--prefix", prefix]
    command += ["--file", str(file), "--kind", kind, "--reads", str(reads), "--mutant", mutant]
    command += ["--processes", str(PROCESSES), "--me"]
    running = [
        subprocess.Popen([*command, str(me)], stdout=subprocess.PIPE, text=True) for me in range(PROCESSES)
    ]
    try:
        outputs = [process.communicate()[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * PROCESSES
    return [sum(column) for column in zip(*(map(int, text.split()) for text in outputs), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nothing_is_stale(tmp_path, redis_server, key_prefix, kind):
    reads, near, invalidations, stale = race(tmp_path, redis_server.url, key_prefix, kind=kind, reads=35_000)
    assert stale == 0, f"of {reads}"
    assert reads >= 100_000
    assert near > 1_000, "how many, the machine decides; but the near tier must have been in the race"
    assert invalidations >= 250


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mutant", ["kept without a snapshot", "snapshot after the answer", "deaf"])
def test_the_race_finds_a_planted_fault(tmp_path, redis_url, key_prefix, kind, mutant):
    for _ in range(5):
        *_, stale = race(tmp_path, redis_url, key_prefix, kind=kind, reads=20_000, mutant=mutant)
        if stale:
            return
    pytest.fail("nothing was found stale")
