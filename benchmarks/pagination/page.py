"""What a page costs: 20 rows, by time, in the middle of 100,000, on SQLite and PostgreSQL, Core and ORM.

    python -m benchmarks.pagination.page [sqlite] [postgresql]

All contenders take turns in one run, each figure the median of the rounds: a prebuilt statement executed
as it is, the paginator (decode the cursor, execute, encode both cursors) with a statement that is kept and
with one made per request, the keyset query as one writes it by hand in a request handler, that query without
a keyset, and the peers' pages. "added" is what lies above the prebuilt statement.

Targets: added at most 25 µs on SQLite and 45 µs on PostgreSQL, and a fifteenth of what sqlakeyset adds;
a page at most 0.55 of the one by hand on SQLite and 0.75 on PostgreSQL; a statement per request at most
1.15 x the user's own query.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session, registry

from benchmarks.pagination import _databases
from benchmarks.pagination._databases import FEED
from benchmarks.pagination._peers import fastapi_page, fastapi_walk, sqlakeyset_page, sqlakeyset_walk
from scalekit.pagination import CursorPaginator
from scalekit.pagination.sqlalchemy import SelectSource

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, PAGE, ROUNDS, CALLS = 100_000, 20, 40, 40
PREBUILT, KEPT, FRESH = "prebuilt execute", "paginator, statement kept", "paginator, statement per request"
BY_HAND, OWN = "keyset by hand, per request", "user's own query, per request"
SQLAKEYSET, FASTAPI = "sqlakeyset", "fastapi-pagination, no total"


class Item:
    """A row of the table, mapped."""


registry().map_imperatively(Item, FEED)
ENTITY: Any = Item


def by_hand(what: Any, at: Any, b: Any, limit: Any) -> Any:
    return (
        select(what)
        .where(and_(FEED.c.at <= at, or_(FEED.c.at < at, FEED.c.id < b)))
        .order_by(FEED.c.at.desc(), FEED.c.id.desc())
        .limit(limit)
    )


def contenders(session: Session, *, orm: bool) -> dict[str, Callable[[], Any]]:
    what: Any = ENTITY if orm else FEED
    runner: Any = session if orm else session.connection()
    statement = select(what)
    prebuilt = by_hand(what, bindparam("at"), bindparam("b"), bindparam("n"))
    feed = CursorPaginator([FEED.c.at.desc(), FEED.c.id.desc()], limit=PAGE, secret="benchmark")
    cursor = next(feed.pages(SelectSource(runner, statement), batch=ROWS // 2)).next_cursor
    last = session.execute(
        select(FEED.c.at, FEED.c.id)
        .order_by(FEED.c.at.desc(), FEED.c.id.desc())
        .offset(ROWS // 2 - 1)
        .limit(1)
    ).one()

    def executed(built: Any, parameters: Any) -> Any:
        return runner.scalars(built, parameters).all() if orm else runner.execute(built, parameters).all()

    def paged() -> Any:
        page = feed.paginate(SelectSource(runner, statement), cursor=cursor)
        return page.items, page.next_cursor, page.previous_cursor

    def filtered() -> Any:
        return select(what).where(FEED.c.kind >= 0)

    def paged_fresh() -> Any:
        page = feed.paginate(SelectSource(runner, filtered()), cursor=cursor)
        return page.items, page.next_cursor, page.previous_cursor

    def ordered() -> Any:
        return select(what).order_by(FEED.c.at.desc(), FEED.c.id.desc())

    def own() -> Any:
        return executed(filtered().order_by(FEED.c.at.desc(), FEED.c.id.desc()).limit(PAGE + 1), {})

    bookmark = sqlakeyset_walk(runner, ordered, ROWS // 2)
    theirs = fastapi_walk(runner, ordered, 30, PAGE)
    return {
        PREBUILT: lambda: executed(prebuilt, {"at": last[0], "b": last[1], "n": PAGE + 1}),
        KEPT: paged,
        FRESH: paged_fresh,
        BY_HAND: lambda: executed(by_hand(what, last[0], last[1], PAGE + 1), {}),
        OWN: own,
        SQLAKEYSET: lambda: sqlakeyset_page(runner, ordered, bookmark, PAGE),
        FASTAPI: lambda: fastapi_page(runner, ordered, theirs, PAGE),
    }


def measured(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return microseconds per call."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            started = perf_counter()
            for _ in range(CALLS):
                call()
            seconds[name].append((perf_counter() - started) / CALLS)
    return {name: statistics.median(each) * 1e6 for name, each in seconds.items()}


def main() -> None:
    warnings.filterwarnings("ignore", module="sqlakeyset")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("databases", nargs="*", choices=[[], "sqlite", "postgresql"], metavar="DATABASE")
    for name in parser.parse_args().databases or ("sqlite", "postgresql"):
        with getattr(_databases, name)(ROWS) as engine, Session(engine) as session:
            for kind, orm in (("Core", False), ("ORM", True)):
                found = measured(contenders(session, orm=orm))
                print(f"\n{name}, {kind}")
                base = found[PREBUILT]
                for contender, micro in found.items():
                    more = f"x {micro / base:5.2f}   added {micro - base:7.1f} us"
                    print(f"  {contender:36}{micro:8.1f} us   {more}")
                added = found[KEPT] - base
                print(
                    f"  added by sqlakeyset / ours {(found[SQLAKEYSET] - base) / added:.1f}; "
                    f"kept / by hand {found[KEPT] / found[BY_HAND]:.2f}; "
                    f"per request / own query {found[FRESH] / found[OWN]:.2f}"
                )


if __name__ == "__main__":
    main()
