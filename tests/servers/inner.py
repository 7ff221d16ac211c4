"""A run of the tests inside a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_tests(path: str, selection: str, **environment: str) -> str:
    """Run the tests of `path` that `selection` (as in `-k`) picks; its output. Fails unless they pass."""
    options = ["-q", "-p", "no:cacheprovider", "-k", selection]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, path],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
