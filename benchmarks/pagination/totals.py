"""What it costs to count, and to read every row: PostgreSQL with 3,000,000 rows.

    python -m benchmarks.pagination.totals [--rows N]

Counting: what a total adds to a page. Export: 300,000 rows by pages of 1,000, each a query of its own,
against one server-side cursor in one transaction, sqlakeyset's pages and OFFSET; a figure is the median of
rounds that take turns.

Targets: a capped total 100 x as fast as an exact one; an export at most 1.15 x the server-side cursor.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from benchmarks.pagination._databases import FEED, postgresql
from benchmarks.pagination._peers import sqlakeyset_page
from scalekit.pagination import CursorPaginator, Total
from scalekit.pagination.sqlalchemy import SelectSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

EXPORTED, BATCH, ROUNDS = 300_000, 1_000, 5
C = FEED.c
STATEMENT = select(C.id, C.a, C.kind, C.score, C.name, C.body)
FEED_OF_ALL = CursorPaginator([C.a.desc(), C.id.desc()], secret="benchmark")


def medians(calls: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def counting(connection: Connection) -> None:
    for title, statement in (("all rows", STATEMENT), ("one kind in 50", STATEMENT.where(C.kind == 7))):
        source = SelectSource(connection, statement)
        found = medians(
            {
                "exact": lambda: source.count(Total.exact().rows),  # noqa: B023
                "capped(10_000)": lambda: source.count(Total.capped(10_000).rows),  # noqa: B023
                "estimate": source.estimate,
            },
            rounds=11,
        )
        exact = connection.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
        print(f"\ncounting {title}: {exact:,}, estimated {source.estimate():,}")
        for name, each in found.items():
            print(f"  {name:20}{each * 1000:10.2f} ms   exact / this {found['exact'] / each:8.1f} x")


def exporters(connection: Connection) -> dict[str, Callable[[], int]]:
    """Return what reads all the rows, and says how many they were."""
    source = SelectSource(connection, STATEMENT.where(C.id <= EXPORTED))
    ordered = STATEMENT.where(C.id <= EXPORTED).order_by(C.a.desc(), C.id.desc())

    def ours() -> int:
        return sum(len(page.items) for page in FEED_OF_ALL.pages(source, batch=BATCH))

    def server_side() -> int:
        streaming = connection.execution_options(yield_per=BATCH)
        found = streaming.execute(ordered)
        total = sum(len(part) for part in found.partitions())
        connection.execution_options(yield_per=None, stream_results=False)
        return total

    def theirs() -> int:
        total, bookmark = 0, None
        while True:
            page, bookmark, _ = sqlakeyset_page(connection, lambda: ordered, bookmark, BATCH)
            total += len(page)
            if not page.paging.has_next:
                return total

    def by_offset() -> int:
        total = 0
        while rows := connection.execute(ordered.limit(BATCH).offset(total)).all():
            total += len(rows)
        return total

    return {"ours": ours, "server-side cursor": server_side, "sqlakeyset": theirs, "OFFSET": by_offset}


def exporting(connection: Connection) -> None:
    calls = exporters(connection)
    for name, call in calls.items():
        found = call()
        if found != EXPORTED:
            raise SystemExit(f"{name} read {found:,} rows of {EXPORTED:,}")
    print(f"\nexport of {EXPORTED:,} rows by {BATCH:,}")
    figures = medians(calls)
    for name, each in figures.items():
        print(f"  {name:20}{each:8.3f} s   x {each / figures['server-side cursor']:.2f}")


def main() -> None:
    warnings.filterwarnings("ignore", module="sqlakeyset")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=3_000_000)
    with postgresql(parser.parse_args().rows) as engine, engine.connect() as connection:
        counting(connection)
        exporting(connection)


if __name__ == "__main__":
    main()
