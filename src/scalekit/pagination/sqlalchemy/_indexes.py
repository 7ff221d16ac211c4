"""How each page of an order is read, and what of that an index would mend."""

# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from scalekit.pagination._window import Position, Window
from scalekit.pagination.sqlalchemy import _plan_mysql, _plan_postgresql, _plan_sqlite
from scalekit.pagination.sqlalchemy._advice import create_index, wanted
from scalekit.pagination.sqlalchemy._report import Facts, IndexReport
from scalekit.pagination.sqlalchemy._select_order import own

if TYPE_CHECKING:
    from scalekit.pagination._order import Order
    from scalekit.pagination.sqlalchemy._report import PagePlan
    from scalekit.pagination.sqlalchemy._select_order import SelectOrder
    from scalekit.pagination.sqlalchemy._sync import SelectSource

_READERS = {
    "postgresql": _plan_postgresql.read,
    "sqlite": _plan_sqlite.read,
    "mysql": _plan_mysql.read,
    "mariadb": _plan_mysql.read,
}
_ENOUGH = 400  # rows: of fewer each database reads what it likes behind a cursor
_DEEP = 20_000  # rows: beyond, the middle is deep enough, and finding it would take long


def report(asked: Order, source: SelectSource[Any], limit: int) -> IndexReport:
    """Return how the pages of `limit` rows are read; `source` runs on a session or connection that blocks."""
    order = own(source.order(asked))
    session: Any = source._session
    connection: Connection = session if isinstance(session, Connection) else session.connection()
    index = wanted(order.sql, getattr(source._statement, "whereclause", None))
    table = "" if index is None else str(index.table.name)
    equal: frozenset[str] = (
        frozenset() if index is None else frozenset(str(each.name) for each in index.equal)
    )
    pages: list[PagePlan] = []
    rows = source.count(_DEEP)
    for name, window in _windows(order, source, limit + 1, rows):
        facts = Facts(limit + 1, table, equal, strict=window.position is None)
        statement, parameters = order.statement(source._statement, window)
        pages.append(_READERS[connection.dialect.name](connection, name, statement, parameters, facts))
    found: dict[str, list[str]] = {}
    for page in pages:
        for problem in page.problems:
            found.setdefault(problem, []).append(page.name)
    problems = tuple([f"{problem} ({', '.join(names)} page)" for problem, names in found.items()])
    if not problems:
        return IndexReport(True, (), None, tuple(pages))
    create = None if index is None else create_index(index, connection.dialect)
    if create is None:
        problems = (*problems, _NO_TABLE if index is None else _NO_EXPRESSION)
    return IndexReport(False, problems, create, tuple(pages))


_NO_TABLE = "no single index can serve keys of several tables, or of none: copy the column into one table"
_NO_EXPRESSION = "MariaDB indexes no expressions: order by a generated column"


def _windows(
    order: SelectOrder, source: SelectSource[Any], asked: int, rows: int
) -> list[tuple[str, Window]]:
    windows = [("first", Window(order, None, False, asked)), ("last", Window(order, None, True, asked))]
    if rows >= _ENOUGH:
        middle = _values_at(order, source, rows // 2, backward=False)
        windows.append(("middle", Window(order, Position(middle, False, False), False, asked)))
        windows.append(("backward", Window(order, Position(middle, True, False), True, asked)))
        late = _values_at(order, source, rows // 20, backward=True)
        if None in late:  # NULLs are a stretch of their own
            windows.append(("late", Window(order, Position(late, False, False), False, asked)))
    return windows


def _values_at(
    order: SelectOrder, source: SelectSource[Any], number: int, *, backward: bool
) -> tuple[Any, ...]:
    statement, parameters = order.statement(source._statement, Window(order, None, backward, 1))
    found = order.reader.rows(source._session.execute(statement.offset(number), parameters))
    return found.values(0)
