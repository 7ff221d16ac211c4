"""What a page costs: SQLite in memory, 20 rows in the middle of a table, Core and ORM.

Each line compares, in the same run and interleaved: a prebuilt statement executed as it is, the
paginator (decode the cursor, execute, encode both cursors), and the keyset query as one writes it by
hand in a request handler. Run it with `python benchmarks/pagination/page.py`.
"""

from __future__ import annotations

import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, create_engine, insert, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from scalekit.pagination import CursorPaginator
from scalekit.pagination.sqlalchemy import SelectSource

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, PAGE, ROUNDS, CALLS = 20_000, 20, 40, 50
A, B = ROWS // 14, ROWS // 2


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    tid: Mapped[int]
    a: Mapped[int]
    name: Mapped[str]
    body: Mapped[str]
    score: Mapped[float]


def by_hand(what: Any, a: Any, b: Any, limit: Any) -> Any:
    return (
        select(what)
        .where(and_(Item.a <= a, or_(Item.a < a, Item.id < b)))
        .order_by(Item.a.desc(), Item.id.desc())
        .limit(limit)
    )


def contenders(session: Session, *, orm: bool) -> dict[str, Callable[[], Any]]:
    what: Any = Item if orm else Item.__table__
    runner: Any = session if orm else session.connection()
    statement = select(what)
    prebuilt = by_hand(what, bindparam("a"), bindparam("b"), bindparam("n"))
    feed = CursorPaginator([Item.a.desc(), Item.id.desc()], limit=PAGE, secret="benchmark")
    pages = feed.pages(SelectSource(runner, statement), batch=ROWS // 2)
    cursor = next(pages).next_cursor

    def executed(built: Any, parameters: Any) -> Any:
        return runner.scalars(built, parameters).all() if orm else runner.execute(built, parameters).all()

    def paged() -> Any:
        page = feed.paginate(SelectSource(runner, statement), cursor=cursor)
        return page.items, page.next_cursor, page.previous_cursor

    def paged_fresh() -> Any:
        return feed.paginate(SelectSource(runner, select(what).where(Item.tid >= 0)), cursor=cursor).items

    return {
        "prebuilt execute": lambda: executed(prebuilt, {"a": A, "b": B, "n": PAGE + 1}),
        "paginator, statement kept": paged,
        "paginator, statement per request": paged_fresh,
        "written by hand per request": lambda: executed(by_hand(what, A, B, PAGE + 1), {}),
    }


def measured(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return microseconds per call: the median of interleaved rounds."""
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
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        rows = [
            {"id": n, "tid": n % 5, "a": n // 7, "name": f"n{n}", "body": "x" * 40, "score": n / 3}
            for n in range(ROWS)
        ]
        session.execute(insert(Item), rows)
        session.connection().exec_driver_sql("CREATE INDEX items_a_id ON items (a, id)")
        session.commit()
        for kind, orm in (("Core", False), ("ORM", True)):
            found = measured(contenders(session, orm=orm))
            base = found["prebuilt execute"]
            for name, micro in found.items():
                sys.stdout.write(f"{kind:5}{name:34}{micro:8.1f} us   x {micro / base:.2f}\n")
    engine.dispose()


if __name__ == "__main__":
    main()
