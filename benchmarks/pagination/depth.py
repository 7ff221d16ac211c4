"""What a page of 20 costs at depth: PostgreSQL with 3,000,000 rows, SQLite and MariaDB with 1,000,000.

    python -m benchmarks.pagination.depth [--rows N] [--plot FILE.svg] [sqlite] [postgresql] [mariadb]

For each order: milliseconds of the second page and of one deep in the table, and the rows that the database
reads for the deep one, 21 of which it returns (EXPLAIN ANALYZE on PostgreSQL, handler counters on MariaDB,
steps of the virtual machine on SQLite). The peers order by the same keys; a figure is the median of rounds
that take turns. MariaDB is measured where its server is found.

Targets: a deep page at most 1.15 x the second; at most 3 x 21 + 4 rows read; a nullable order on PostgreSQL
200 x as fast as with OR; a deep page on MariaDB 1,000 x as fast as sqlakeyset's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from benchmarks.pagination import _databases
from benchmarks.pagination._databases import FEED, rows_read
from benchmarks.pagination._peers import sqlakeyset_page
from scalekit.pagination import CursorPaginator, asc, desc
from scalekit.pagination.sqlalchemy import SelectSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

PAGE, ROUNDS = 20, 15
SLOW = 0.2  # seconds: what takes longer is measured three times
C = FEED.c
ROWS = {"sqlite": 1_000_000, "postgresql": 3_000_000, "mariadb": 1_000_000}


class Case(NamedTuple):
    name: str
    order_by: list[Any]
    depth: float
    """The part of the table that lies before the page."""
    form: Any = None


CASES = [
    Case("by time", [C.at.desc(), C.id.desc()], 0.4),
    Case("by a number, uniform", [C.a.desc(), C.id.desc()], 0.4),
    Case("by a number, mixed", [C.a.desc(), C.id], 0.4),
    Case("booleans, mixed", [C.flag.desc(), C.id], 0.4),
    Case("1 in 50, uniform", [C.kind.desc(), C.id.desc()], 0.41),
    Case("1 in 50, mixed", [C.kind.desc(), C.id], 0.41),
    Case('1 in 50, mixed, form="nested"', [C.kind.desc(), C.id], 0.41, "nested"),
    Case("nullable, ascending", [asc(C.score), asc(C.id)], 0.4),
    Case("nullable, NULLs last", [desc(C.score, nulls="last"), desc(C.id)], 0.4),
    Case("inside the NULLs, last", [desc(C.score, nulls="last"), desc(C.id)], 0.97),
]
STATEMENT = select(C.id, C.a, C.kind, C.flag, C.score, C.name, C.body)


def milliseconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median of rounds that take turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(ROUNDS):
        for name, call in calls.items():
            if turn > 2 and statistics.median(found[name]) > SLOW:
                continue
            call()
            started = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) * 1000 for name, each in found.items()}


def deep_cursor(connection: Connection, feed: CursorPaginator, source: Any, depth: int) -> str:
    """Return the cursor of the row that has `depth` rows before it, found by its number."""
    order = source.order(feed._rules.order)  # noqa: SLF001  # a walk there would take minutes
    first = order.statement(STATEMENT, feed._rules.coder(order, None).window(None, 1, last=False))  # noqa: SLF001
    found = order.reader.rows(connection.execute(first[0].offset(depth), {**first[1], "_scalekit_limit": 1}))
    coder = feed._rules.coder(order, None)  # noqa: SLF001
    return str(coder.encode(found.values(0), backward=False))


def figures(connection: Connection, rows: int) -> None:
    name = connection.dialect.name
    unit = "VM steps" if name == "sqlite" else "rows read"
    print(f"\n{name}, {rows:,} rows{'':21}second page   deep page     ratio   {unit}")
    for case in CASES:
        feed = CursorPaginator(case.order_by, limit=PAGE, secret="benchmark")
        source = SelectSource(connection, STATEMENT, form=case.form)
        cursor = deep_cursor(connection, feed, source, int(rows * case.depth))
        second = feed.paginate(source).next_cursor
        found = milliseconds(
            {
                "second": lambda: feed.paginate(source, cursor=second),  # noqa: B023
                "deep": lambda: feed.paginate(source, cursor=cursor),  # noqa: B023
            }
        )
        order = source.order(feed._rules.order)  # noqa: SLF001
        window = feed._rules.coder(order, None).window(cursor, PAGE, last=False)  # noqa: SLF001
        read = rows_read(connection, *order.statement(STATEMENT, window))
        ratio = found["deep"] / found["second"]
        print(f"  {case.name:38}{found['second']:9.3f} ms{found['deep']:9.3f} ms {ratio:8.2f} x {read:9,}")
    against(connection, rows)


def against(connection: Connection, rows: int) -> None:
    """Compare with the peers, and with what one writes by hand."""
    name = connection.dialect.name
    feed = CursorPaginator([C.a.desc(), C.id.desc()], limit=PAGE, secret="benchmark")
    source = SelectSource(connection, STATEMENT)
    deep = int(rows * 0.9)
    cursor = deep_cursor(connection, feed, source, deep)
    ordered = STATEMENT.order_by(C.a.desc(), C.id.desc())
    a, number = connection.execute(select(C.a, C.id).order_by(C.a.desc(), C.id.desc()).offset(deep)).first()
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: feed.paginate(source, cursor=cursor),
        "sqlakeyset": lambda: sqlakeyset_page(connection, lambda: ordered, f">i:{a}~i:{number}", PAGE),
        "OFFSET": lambda: connection.execute(ordered.limit(PAGE + 1).offset(deep)).all(),
    }
    _compared(f"{name}, page at {deep:,}", milliseconds(calls))
    if name != "mysql":
        feed = CursorPaginator([desc(C.score, nulls="last"), desc(C.id)], limit=PAGE, secret="benchmark")
        cursor = deep_cursor(connection, feed, source, int(rows * 0.4))
        calls = {
            "ours": lambda: feed.paginate(source, cursor=cursor),
            "OR": lambda: feed.paginate(SelectSource(connection, STATEMENT, form="or"), cursor=cursor),
        }
        _compared(f"{name}, nullable order", milliseconds(calls))


def _compared(title: str, found: dict[str, float]) -> None:
    parts = [f"{name} {each:.3f} ms ({each / found['ours']:,.1f} x)" for name, each in found.items()]
    print(f"  {title}: {', '.join(parts)}")


def curves(connection: Connection, rows: int) -> dict[str, list[tuple[int, float]]]:
    """Return milliseconds by depth: ours, sqlakeyset's, OFFSET."""
    feed = CursorPaginator([C.a.desc(), C.id.desc()], limit=PAGE, secret="benchmark")
    source = SelectSource(connection, STATEMENT)
    ordered = STATEMENT.order_by(C.a.desc(), C.id.desc())
    found: dict[str, list[tuple[int, float]]] = {}
    for depth in [each for each in (100, 1_000, 10_000, 100_000, 1_000_000) if each < rows]:
        cursor = deep_cursor(connection, feed, source, depth)
        place = select(C.a, C.id).order_by(C.a.desc(), C.id.desc()).offset(depth).limit(1)
        a, number = connection.execute(place).one()
        calls: dict[str, Callable[[], Any]] = {
            "ours": lambda: feed.paginate(source, cursor=cursor),  # noqa: B023
            "sqlakeyset": lambda: sqlakeyset_page(connection, lambda: ordered, f">i:{a}~i:{number}", PAGE),  # noqa: B023
            "OFFSET": lambda: connection.execute(ordered.limit(PAGE + 1).offset(depth)).all(),  # noqa: B023
        }
        for name, each in milliseconds(calls).items():
            found.setdefault(name, []).append((depth, each))
    return found


def main() -> None:
    warnings.filterwarnings("ignore", module="sqlakeyset")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("databases", nargs="*", choices=[[], *ROWS], metavar="DATABASE", help=", ".join(ROWS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    options = parser.parse_args()
    lines: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name in options.databases or ROWS:
        rows = options.rows or ROWS[name]
        with getattr(_databases, name)(rows) as engine:
            if engine is None:
                print(f"\n{name}: no server found", file=sys.stderr)
                continue
            with engine.connect() as connection:
                if options.plot:
                    lines[name] = curves(connection, rows)
                else:
                    figures(connection, rows)
    if options.plot:
        from benchmarks.pagination._plot import plotted  # noqa: PLC0415  # only for the plot

        options.plot.write_text(plotted(lines), "utf-8")


if __name__ == "__main__":
    main()
