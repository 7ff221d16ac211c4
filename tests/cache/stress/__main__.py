"""The stress on every store, and the mutants that it must find, as a table.

    python -m tests.cache.stress [--reads 100000] [--memory-reads 1000000] [--only STORE]

Starts servers of its own. Exits with 1 if anything was stale, or if a mutant was not found.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from scalekit.cache import AsyncCache, Cache
from tests.cache.stress.mutants import MUTANTS, mutated
from tests.cache.stress.stores import PLACES
from tests.cache.stress.storm import async_stress, stress

if TYPE_CHECKING:
    from tests.cache.stress.stores import Place
    from tests.cache.stress.storm import Outcome


def threads(place: Place, reads: int) -> Outcome:
    with place.store() as store:
        return stress(Cache(store, on_error="raise"), reads, evict=place.lose)


async def tasks(place: Place, reads: int) -> Outcome:
    lose = place.lose

    async def evict(item: int) -> Any:
        return await asyncio.to_thread(lose, item) if lose is not None else None

    async with place.async_store() as store:
        return await async_stress(AsyncCache(store, on_error="raise"), reads, evict=evict)


def show(name: str, outcome: Outcome) -> None:
    reads, stale, loads, invalidations, seconds = outcome
    sys.stdout.write(
        f"| {name} | {reads:,} | {loads:,} | {invalidations:,} | {stale:,} | {seconds:.0f} s |\n"
    )
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--reads", type=int, default=100_000, help="of each store and mutant")
    parser.add_argument("--memory-reads", type=int, default=1_000_000)
    parser.add_argument("--only", choices=PLACES)
    arguments = parser.parse_args()
    sys.stdout.write("| store | reads | loads | invalidations | stale | took |\n|---|--:|--:|--:|--:|--:|\n")
    failed = False
    for name, opened in PLACES.items():
        if arguments.only in (None, name):
            reads = arguments.memory_reads if name == "memory" else arguments.reads
            with opened() as place:
                outcome = threads(place, reads)
                show(f"{name}, threads", outcome)
                failed |= bool(outcome.stale)
                outcome = asyncio.run(tasks(place, reads))
                show(f"{name}, tasks", outcome)
                failed |= bool(outcome.stale)
    for mutant, mistake in MUTANTS.items():
        outcome = mutated(mutant, arguments.reads)
        show(f"mutant: {mistake}", outcome)
        failed |= not outcome.stale
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
