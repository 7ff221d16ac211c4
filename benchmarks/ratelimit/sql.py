"""Hits per second and latency in a database, ours and pyrate-limiter's SQLite bucket.

    python -m benchmarks.ratelimit.sql [rounds]

One thread, eight threads and eight processes at once, each on a key of its own or all on one; a limit of
500 per minute, which admits all, but where it says "denied". An admitted hit is read, judged and written in
one transaction. SQLite's files are in WAL mode with synchronous=NORMAL on both sides. All take turns; a
figure is the median of the rounds.

A bucket of the peer's is a table for one key, it answers with a bool, and its rows are never taken away
here. While another thread is at it, it denies whatever the limit says. It is not among the processes: for
that it needs another package.

PostgreSQL is started for the run from what the tests use (fsync off: the disk is not measured), or is the
one at DATABASE_URL.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
import uuid
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pyrate_limiter import Limiter, Rate, SQLiteBucket
from sqlalchemy import create_engine, event

from benchmarks.cache.sql import postgres
from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit.sqlalchemy import SQLAlchemyRateLimitStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

UNITS, SECONDS = 500, 60
HITS = 60  # of each worker: those of eight and their first are admitted on one key
PEER = "pyrate-limiter, SQLite"
QUOTA = Quota([Limit(UNITS, float(SECONDS))])
PRAGMAS = ("PRAGMA busy_timeout=30000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")


Call = tuple[float, float, bool]


class Figures(NamedTuple):
    """Of one round: hits per second of all workers, and the latencies in seconds."""

    rate: float
    median: float
    slowest: float  # of a hundred
    admitted: float  # the part of them


def set_up(connection: sqlite3.Connection, _record: object = None) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


@cache  # with its engine, for all rounds of a process
def ours(url: str, *, unlogged: bool = False) -> Callable[[str], Callable[[], bool]]:
    """Return what makes a hit on a key."""
    engine = create_engine(url, pool_size=8)
    if url.startswith("sqlite"):
        event.listen(engine, "connect", set_up)
    table = "benchmark_unlogged" if unlogged else "benchmark"
    store = SQLAlchemyRateLimitStore(engine, table=table, unlogged=unlogged, timeout="60s")
    store.create_all()
    return lambda key: lambda: store.hit(key, QUOTA, 1, 0).allowed


def pyrate(path: str) -> Callable[[str], Callable[[], bool]]:
    buckets: dict[str, Limiter] = {}

    def of(key: str) -> Callable[[], bool]:
        if key not in buckets:
            rates = [Rate(UNITS, SECONDS * 1_000)]
            bucket = SQLiteBucket.init_from_file(rates, table=f"t{key}", db_path=path)
            set_up(bucket.conn)
            buckets[key] = Limiter(bucket)
        return partial(buckets[key].try_acquire, key, blocking=False)

    return of


def timed(hit: Callable[[], bool], together: Any, before: int = 1) -> list[Call]:
    """Return begin, end and answer of each hit, but of those `before`."""
    for _ in range(before):
        hit()
    together.wait(60)
    calls: list[Call] = []
    for _ in range(HITS):
        begin = time.monotonic()
        admitted = hit()
        calls.append((begin, time.monotonic(), admitted))
    return calls


def figures(calls: list[Call]) -> Figures:
    took = sorted(end - begin for begin, end, _ in calls)
    lasted = max(end for _, end, _ in calls) - min(begin for begin, _, _ in calls)
    admitted = statistics.mean(admitted for _, _, admitted in calls)
    return Figures(len(calls) / lasted, statistics.median(took), took[len(took) * 99 // 100], admitted)


def in_threads(make: Callable[[], Any], keys: list[str]) -> Figures:
    of, together, calls = make(), threading.Barrier(len(keys)), []
    hits = [of(key) for key in keys]
    threads = [threading.Thread(target=lambda hit=hit: calls.extend(timed(hit, together))) for hit in hits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return figures(calls)


def _work(make: Callable[[], Any], key: str, together: Any, results: Any) -> None:
    results.put(timed(make()(key), together))


def denied(make: Callable[[], Any], keys: list[str]) -> Figures:
    return figures(timed(make()(keys[0]), threading.Barrier(1), before=UNITS))


def in_processes(make: Callable[[], Any], keys: list[str]) -> Figures:
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(len(keys)), context.Queue()
    workers = [context.Process(target=_work, args=(make, key, together, results)) for key in keys]
    for worker in workers:
        worker.start()
    calls = [call for _ in workers for call in results.get(timeout=120)]
    for worker in workers:
        worker.join()
    return figures(calls)


WAYS = {
    "1 thread": (in_threads, 1, False),
    "1 thread, denied": (denied, 1, False),
    "8 threads, 8 keys": (in_threads, 8, False),
    "8 threads, 1 key": (in_threads, 8, True),
    "8 processes, 8 keys": (in_processes, 8, False),
    "8 processes, 1 key": (in_processes, 8, True),
}


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        sides: dict[str, Callable[[], Any]] = {
            "ours, SQLite": partial(ours, f"sqlite:///{folder}/ours.db"),
            PEER: partial(pyrate, f"{folder}/peer.db"),
            "ours, PostgreSQL": partial(ours, url),
            "ours, PostgreSQL unlogged": partial(ours, url, unlogged=True),
        }
        for way, (run, workers, shared) in WAYS.items():
            seen: dict[str, list[Figures]] = {side: [] for side in sides}
            for _ in range(rounds):
                for side, make in sides.items():
                    if run is in_processes and side == PEER:
                        continue
                    own = [uuid.uuid4().hex for _ in range(workers)]
                    seen[side].append(run(make, own[:1] * workers if shared else own))
            for side, each in seen.items():
                if not each:
                    continue
                middle = Figures(*map(statistics.median, zip(*each, strict=True)))
                print(
                    f"{way:20} {side:26} {middle.rate:8,.0f} hits/s   "
                    f"p50 {middle.median * 1e3:7.2f} ms   p99 {middle.slowest * 1e3:7.2f} ms   "
                    f"{middle.admitted:4.0%} admitted",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
