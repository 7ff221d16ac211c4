"""What importing costs: `python -m tests.architecture.import_time` fails where it is over the budget.

Not part of the suite, for a suite with timed assertions fails on a busy machine. It takes the best of
several fresh interpreters, and touches every name of a block that is not asynchronous: lazy names that
nobody touched cost nothing. It counts processor time, which is what a warm import is made of; time on the
clock is also that of the neighbours.

The budgets are for a machine that imports `REFERENCE` in `REFERENCE_MS`. On one that takes longer they are as
much larger: the same commit passed and failed as the machine under it was half as fast.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.architecture.source import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

BUDGETS = {"scalekit": 5.0} | {f"scalekit.{block}": 25.0 for block in BLOCKS}
ROUNDS = 15
REFERENCE = "argparse, dataclasses, datetime, decimal, inspect, logging"
REFERENCE_MS = 15.0

REFERENCE_TIMED = f"""
import sys, time
began = time.process_time()
import {REFERENCE}
print((time.process_time() - began) * 1000)
"""

TIMED = """
import importlib, sys, time
began = time.process_time()
module = importlib.import_module({name!r})
if {name!r} != "scalekit":
    for name in module.__all__:
        if not name.startswith("Async"):
            getattr(module, name)
print((time.process_time() - began) * 1000)
"""


def best(sources: Mapping[str, str]) -> dict[str, float]:
    """Return the least that each source prints in `ROUNDS` interpreters.

    They take turns: a machine is slow for seconds at a time, and would be so for one of them alone.
    """
    least = dict.fromkeys(sources, float("inf"))
    for _ in range(ROUNDS):
        for name, source in sources.items():
            command = [sys.executable, "-I", "-c", source]
            printed = subprocess.run(command, capture_output=True, check=True).stdout
            least[name] = min(least[name], float(printed))
    return least


def over_budget(measured: Mapping[str, float], *, slowness: float = 1.0) -> list[str]:
    """Return a line for every import that is over its budget on a machine that is so much slower."""
    return [
        f"import {name}: {cost:.1f} ms, the budget is {BUDGETS[name] * slowness:.0f} ms"
        for name, cost in measured.items()
        if cost > BUDGETS[name] * slowness
    ]


if __name__ == "__main__":
    costs = best({"reference": REFERENCE_TIMED} | {name: TIMED.format(name=name) for name in BUDGETS})
    slow = max(1.0, costs.pop("reference") / REFERENCE_MS)
    told = ", ".join(f"{name} {cost:.1f} ms" for name, cost in costs.items())
    print(f"import (budgets x {slow:.2f}): {told}")  # noqa: T201
    sys.exit("\n".join(over_budget(costs, slowness=slow)) or None)
