"""What is admitted in the fullest window, in percent of the limit, and how much legal traffic is lost.

    python -m benchmarks.ratelimit.accuracy [--plot FILE.svg]

Time is simulated, for us by the clock that we are given, for the peers by replacing the clocks of `time`
before they are imported. Each pattern of arrivals is put to every algorithm; "lost" is the share of what an
exact log admits that an algorithm which never exceeds the limit does not. The limit is 600 a minute, above
what our default keeps exactly.
"""

from __future__ import annotations

import argparse
import random
import threading  # noqa: F401  # before the clocks are replaced: it keeps the real ones
import time
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS, WINDOW = 600, 60
START = 1_800_000_000.0  # a multiple of the window
MINUTES = 12


class Simulated:
    """A clock for everyone."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        return round(self.now * 1e9)


CLOCK = Simulated()


def poisson(factor: float, seed: int) -> list[float]:
    """Arrivals at random, at `factor` times the limit's rate."""
    chance, at, arrivals = random.Random(seed), 0.0, []
    while at < MINUTES * WINDOW:
        at += chance.expovariate(factor * UNITS / WINDOW)
        arrivals.append(at)
    return arrivals


def greedy(begin: float, end: float) -> list[float]:
    """Twenty tries a second more than the limit would let through."""
    step = WINDOW / (3 * UNITS)
    return [begin + i * step for i in range(int((end - begin) / step))]


def burst(at: float) -> list[float]:
    return [at + i * 1e-4 for i in range(2 * UNITS)]


PATTERNS = {
    "Poisson x1": poisson(1.0, 1),
    "Poisson x3": poisson(3.0, 3),
    "two bursts around a minute": burst(1.0 + WINDOW - 1.5) + burst(1.0 + WINDOW),
    "late burst, then greedy": burst(WINDOW - 0.5) + greedy(WINDOW, MINUTES * WINDOW),
    "burst, then greedy": burst(0.2) + greedy(0.5, MINUTES * WINDOW),
}


def admitted(hit: Callable[[str], object], arrivals: list[float]) -> list[float]:
    """Return the arrivals that were let in."""
    let_in = []
    for at in arrivals:
        CLOCK.now = START + at
        if hit("key"):
            let_in.append(at)
    return let_in


def fullest(times: list[float]) -> int:
    """Return how many were let in during the fullest `(t, t + WINDOW]`, to the microsecond."""
    exact = [round(at * 1e6) for at in times]
    return max(i + 1 - bisect_right(exact, at - WINDOW * 1_000_000, 0, i + 1) for i, at in enumerate(exact))


def everyone() -> dict[str, Callable[[], Callable[[str], object]]]:
    """Return who is measured; the clocks must have been replaced."""
    from benchmarks.ratelimit._peers import PEERS  # noqa: PLC0415
    from scalekit.ratelimit import RateLimiter  # noqa: PLC0415
    from scalekit.ratelimit._quota import Algorithm  # noqa: PLC0415

    def ours(algorithm: Algorithm) -> Callable[[], Callable[[str], object]]:
        return lambda: RateLimiter(f"{UNITS}/{WINDOW}s", algorithm=algorithm, clock=CLOCK).hit

    def theirs(make: Callable[..., Callable[[str], object]]) -> Callable[[], Callable[[str], object]]:
        return lambda: make(UNITS, WINDOW)

    return {f"ours, {name}": ours(name) for name in get_args(Algorithm)} | {
        name: theirs(make) for name, make in PEERS.items()
    }


def table() -> None:
    exact: dict[str, int] = {}
    print(f"{'most in a window, % of the limit':34}" + "".join(f"{name:>28}" for name in PATTERNS))
    rows = everyone()
    log = rows.pop("ours, sliding-log")
    for who, make in {"ours, sliding-log": log, **rows}.items():
        cells = []
        for name, arrivals in PATTERNS.items():
            times = admitted(make(), arrivals)
            most = fullest(times)
            exact.setdefault(name, len(times))
            lost = "" if most > UNITS else f", lost {1 - len(times) / exact[name]:.2%}"
            cells.append(f"{f'{most / UNITS:.1%}{lost}':>28}")
        print(f"{who:34}" + "".join(cells), flush=True)


CURVES = {
    "sliding-window": "#0072b2",
    "sliding-counter": "#e69f00",
    "gcra": "#009e73",
    "fixed-window": "#d55e00",
}
LEFT, TOP, WIDTH, HEIGHT = 46, 28, 660, 260  # of the plot's inside


def plot(path: Path) -> None:
    """Draw how many the last minute held, over time, for a late burst and greedy clients after it."""
    arrivals = PATTERNS["late burst, then greedy"]
    span, top = 3.5 * WINDOW, 2.1
    moments = [i * span / 420 for i in range(421)]

    def x(at: float) -> float:
        return LEFT + WIDTH * at / span

    def y(share: float) -> float:
        return TOP + HEIGHT * (1 - share / top)

    drawing = [
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"',
        f'viewBox="0 0 {LEFT + WIDTH + 14} {TOP + HEIGHT + 44}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for percent in (0, 50, 100, 150, 200):
        stroke = "#333" if percent == 100 else "#ddd"
        drawing.append(f'<path d="M{LEFT} {y(percent / 100):.1f}h{WIDTH}" stroke="{stroke}"/>')
        drawing.append(
            f'<text x="{LEFT - 6}" y="{y(percent / 100) + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    for minute in range(4):
        drawing.append(
            f'<path d="M{x(minute * WINDOW):.1f} {TOP}v{HEIGHT}" stroke="#ddd" stroke-dasharray="3"/>'
        )
        drawing.append(
            f'<text x="{x(minute * WINDOW):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">'
            f"{minute} min</text>"
        )
    for i, (algorithm, colour) in enumerate(CURVES.items()):
        times = admitted(everyone()[f"ours, {algorithm}"](), arrivals)
        held = [bisect_right(times, at) - bisect_right(times, at - WINDOW) for at in moments]
        points = " ".join(f"{x(at):.1f},{y(n / UNITS):.1f}" for at, n in zip(moments, held, strict=True))
        drawing.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawing.append(f'<path d="M{LEFT + 165 * i} 12h18" stroke="{colour}" stroke-width="3"/>')
        drawing.append(f'<text x="{LEFT + 165 * i + 24}" y="16">{algorithm}</text>')
    drawing.append(
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">'
        "admitted in the last minute, in percent of the limit</text></svg>\n"
    )
    path.write_text("\n".join(drawing), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    options = parser.parse_args()
    time.time = time.monotonic = CLOCK
    time.time_ns = time.monotonic_ns = CLOCK.nanoseconds
    if options.plot:
        plot(options.plot)
    else:
        table()


if __name__ == "__main__":
    main()
