"""What importing costs: `python -m tests.architecture.import_time` fails where it is over the budget.

Not part of the suite, for a suite with timed assertions fails on a busy machine. It takes the best of
several fresh interpreters, and touches every name of a block that is not asynchronous: lazy names that
nobody touched cost nothing.
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

TIMED = """
import importlib, sys, time
began = time.perf_counter()
module = importlib.import_module({name!r})
if {name!r} != "scalekit":
    for name in module.__all__:
        if not name.startswith("Async"):
            getattr(module, name)
print((time.perf_counter() - began) * 1000)
"""


def milliseconds(name: str, *, enough: float) -> float:
    """Return the best of `ROUNDS` imports of `name`, or the first that is at most `enough`."""
    best = float("inf")
    for _ in range(ROUNDS):
        command = [sys.executable, "-I", "-c", TIMED.format(name=name)]
        best = min(best, float(subprocess.run(command, capture_output=True, check=True).stdout))
        if best <= enough:
            break
    return best


def over_budget(measured: Mapping[str, float]) -> list[str]:
    """Return a line for every import that is over its budget."""
    return [
        f"import {name}: {cost:.1f} ms, the budget is {BUDGETS[name]:.0f} ms"
        for name, cost in measured.items()
        if cost > BUDGETS[name]
    ]


if __name__ == "__main__":
    costs = {name: milliseconds(name, enough=budget) for name, budget in BUDGETS.items()}
    print("import:", ", ".join(f"{name} {cost:.1f} ms" for name, cost in costs.items()))  # noqa: T201
    sys.exit("\n".join(over_budget(costs)) or None)
