"""Bytes per key in memory, ours and the peers': after one hit, and with the limit used up.

    python -m benchmarks.ratelimit.memory [keys]

What `tracemalloc` sees of as many keys as told, each contender in a process of its own; the keys' strings
that each makes for itself are included.

Targets: a full window of 100 hits at most 1.1 KB, any limit above 512 at most 700 B.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import tracemalloc
from typing import TYPE_CHECKING, cast

from benchmarks.ratelimit._peers import PEERS
from scalekit.ratelimit import RateLimiter
from scalekit.ratelimit._quota import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.ratelimit._peers import Hit

SECONDS = 3600
CONTENDERS: dict[str, Callable[[int, int], Hit]] = {
    **{
        f"ours, {algorithm}": lambda units, seconds, algorithm=algorithm: (
            RateLimiter(f"{units}/{seconds}s", algorithm=algorithm).hit
        )
        for algorithm in ALGORITHMS
    },
    **PEERS,
}


def held(who: str, units: int, hits: int, keys: int) -> float:
    """Return the bytes per key after so many hits of each."""
    hit = CONTENDERS[who](units, SECONDS)
    names = [f"user:{i}" for i in range(keys)]
    for _ in range(hits):
        hit("another")  # so that what it needs once is there
    gc.collect()
    tracemalloc.start()
    for name in names:
        for _ in range(hits):
            hit(name)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / keys


def main(keys: int) -> None:
    columns = [(100, 1), (100, 100), (10_000, 10_000)]
    told = "".join(f"{f'{hits:,} of {units:,}':>18}" for units, hits in columns)
    print(f"bytes per key, {keys} keys{'':10}{told}")
    for who in CONTENDERS:
        # pyrate-limiter keeps an event loop per key: fewer keys, for the open files.
        most = keys if "pyrate" not in who else min(keys, 100)
        cells: list[float] = []
        for units, hits in columns:
            count = most if hits < 1000 else min(most, 500 if who.startswith("ours") else 20)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                cells.append(cast("float", pool.apply(held, (who, units, hits, count))))
        print(f"{who:32}" + "".join(f"{cell:18,.0f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
