"""What a step measured and checked."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Step:
    """One step's lines for the report, its figures for --json, and its checks for both."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = 0.0
        self.lines: list[tuple[str, str, str]] = []
        self.figures: dict[str, float | str] = {}
        self.checks: dict[str, bool] = {}

    def show(self, label: str, value: str, note: str = "", **figures: float | str) -> None:
        self.lines.append((label, value, note))
        self.figures.update(figures)

    def check(self, claim: str, *, holds: object) -> None:
        self.checks[claim] = bool(holds)

    @property
    def failed(self) -> list[str]:
        return [claim for claim, holds in self.checks.items() if not holds]

    @property
    def ok(self) -> bool:
        return bool(self.checks) and not self.failed


def seconds(call: Callable[[], object], *, times: int = 1) -> float:
    """Return the median time of `call`."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
