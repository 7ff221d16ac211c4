"""The example of cache policies holds its checks, in memory and on a server, and notices what is stale."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

EXAMPLE = ROOT / "examples" / "cache_policies.py"
BROKEN = """
import runpy, sys
from scalekit.cache import Cache
Cache.{method} = lambda self, *args, **options: None
sys.argv = ["cache_policies.py"]
runpy.run_path({path!r}, run_name="__main__")
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_it_holds_in_memory():
    done = run(EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ok ") == 6


def test_it_holds_on_a_server(redis_url):
    done = run(EXAMPLE, redis_url)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("method", ["invalidate_tags"])
def test_a_stale_cache_is_noticed(method):
    done = run("-c", BROKEN.format(method=method, path=str(EXAMPLE)))
    assert done.returncode == 1
    assert "WRONG  a rename is seen at once" in done.stdout
