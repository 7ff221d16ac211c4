"""A flood of a million new keys: memory, the longest pause, and whether the blocked stay blocked.

    python -m benchmarks.ratelimit.flood [keys]

A hundred victims use up 5/hour; then as many other keys as told hit once each; then the victims try
again. Each contender runs in a process of its own. The longest pause is the most CPU time that one hit took
(the garbage collector's share included, the wait for a core not). Memory is what the process grew by,
the strings of the keys included, which are made as they come.

Targets: bounded memory, no victim reset, no pause above 20 ms.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.ratelimit._peers import PEERS
from scalekit.ratelimit import MemoryRateLimitStore, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.ratelimit._peers import Hit

UNITS, WINDOW = 5, 3600
VICTIMS = [f"victim:{i}" for i in range(100)]
CONTENDERS: dict[str, Callable[[], Hit]] = {
    "ours": lambda: RateLimiter(f"{UNITS}/{WINDOW}s").hit,
    "ours, at most 100,000 keys": lambda: (
        RateLimiter(f"{UNITS}/{WINDOW}s", store=MemoryRateLimitStore(max_keys=100_000)).hit
    ),
    # Not pyrate-limiter's: each of its buckets keeps an event loop, 1,000 keys exhaust the open files.
    **{who: lambda make=make: make(UNITS, WINDOW) for who, make in PEERS.items() if "pyrate" not in who},
}


def flooded(who: str, keys: int) -> tuple[float, float, float, int]:
    """Return ns per hit, the longest one in ms, MB grown by, and how often victims were admitted after."""
    hit, clock = CONTENDERS[who](), time.thread_time_ns
    for victim in VICTIMS:
        while hit(victim):
            pass
    before = psutil.Process().memory_info().rss
    longest, begun = 0, time.process_time_ns()
    last = clock()
    for i in range(keys):
        hit(f"user:{i}")
        now = clock()
        longest = max(longest, now - last)
        last = now
    each = (time.process_time_ns() - begun) / keys
    grown = psutil.Process().memory_info().rss - before
    admitted = sum(bool(hit(victim)) for victim in VICTIMS)
    return each, longest / 1e6, grown / 1e6, admitted


def main(keys: int) -> None:
    print(f"{keys:,} new keys, one hit each; {len(VICTIMS)} victims at their limit of {UNITS}/{WINDOW} s")
    print(f"{'':32}{'ns a hit':>9}{'longest, ms':>13}{'MB':>7}{'victims reset':>15}")
    for who in CONTENDERS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            each, longest, grown, admitted = pool.apply(flooded, (who, keys))
        print(f"{who:32}{each:9.0f}{longest:13.1f}{grown:7.0f}{admitted:15}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
