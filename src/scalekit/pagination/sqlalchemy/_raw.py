"""Raw SQL and an order: the pages' queries, of which only what is around the SQL is written here.

Order values go back to the database as its driver gave them, each by its own type. So they compare
equal to themselves whatever the column is, as a parsed or rounded one would not on SQLite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Integer, bindparam, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from scalekit.errors import ConfigurationError
from scalekit.pagination._order import SortKey, TotalOrder
from scalekit.pagination._ranges import ranges
from scalekit.pagination._values import ANY
from scalekit.pagination.sqlalchemy._forms import NULLS_LARGEST, Forms, form_of, order_by
from scalekit.pagination.sqlalchemy._frame import PLACE, PREFIX, Frame
from scalekit.pagination.sqlalchemy._keys import SqlKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect, Select
    from sqlalchemy.sql.elements import BindParameter, ColumnClause, ColumnElement

    from scalekit.pagination._order import Key, Order
    from scalekit.pagination._window import Window

# Values are untyped here: the driver knows those that it gave, and PostgreSQL would be told no more than
# the column says. Both are written with the colons that a frame looks for.
WRITERS: dict[str, Dialect] = {
    "postgresql": PGDialect(paramstyle="named"),  # type: ignore[no-untyped-call]
    "sqlite": SQLiteDialect(paramstyle="named"),
}
_ALL: ColumnElement[Any] = literal_column("*")
_LIMIT: BindParameter[Any] = bindparam(f"{PREFIX}limit")
_OFFSET: BindParameter[Any] = bindparam(f"{PREFIX}offset")

_FIRST: ColumnElement[int] = literal_column("0", Integer)  # SQLAlchemy would bind SQLite's OFFSET 0


class RawOrder(TotalOrder):
    """A total order over the rows of raw SQL, with the frames that read it."""

    __slots__ = ("_dialect", "_forms", "_frames", "_names", "_page", "_sql")

    def __init__(self, keys: Sequence[SortKey], dialect: str) -> None:
        super().__init__(keys)
        self._dialect = dialect
        selected: list[ColumnClause[Any]] = [column(key.name) for key in keys]
        self._page = table(PLACE, *selected).alias("page")
        columns: list[Any] = [self._page.c[key.name] for key in keys]
        self._sql = [
            SqlKey(key, each, each, each, may_tie=False) for key, each in zip(keys, columns, strict=True)
        ]
        self._names = [f"{PREFIX}{index}" for index in range(len(keys))]
        binds: list[BindParameter[Any]] = [bindparam(name) for name in self._names]
        self._forms = Forms(self._sql, binds, form_of(self._sql, WRITERS[dialect], None))
        self._frames: dict[object, Frame] = {}

    def frame(self, window: Window) -> tuple[Frame, dict[str, Any]]:
        """Return the frame that reads `window`, and its values."""
        position = window.position
        values: dict[str, Any] = {f"{PREFIX}limit": window.limit}
        pattern: tuple[object, ...] = (window.backward,)
        if position is not None:
            values.update(zip(self._names, position.values, strict=True))
            pattern = (window.backward, position.inclusive, *[each is None for each in position.values])
        frame = self._frames.get(pattern)
        if frame is None:
            frame = self._frames[pattern] = Frame(self._written(window))
        return frame, values

    def _written(self, window: Window) -> str:
        position, backward = window.position, window.backward
        pairs = [(key.sort, key.element) for key in self._sql]
        clauses = order_by(pairs, backward=backward, dialect=WRITERS[self._dialect])
        page = select(_ALL).select_from(self._page).limit(_LIMIT).offset(_FIRST)
        if position is None:
            return _text(page.order_by(*clauses), self._dialect)
        found = ranges(self, position.values, backward=backward, inclusive=position.inclusive)
        parts = [
            _text(page.where(predicate).order_by(*clauses), self._dialect)
            for predicate, _ in self._forms.branches(found, [each is None for each in position.values])
        ]
        if len(parts) == 1:
            return parts[0]
        # Each in brackets of its own, for its ORDER BY and LIMIT, which no part of a UNION may have bare.
        bare = select(_ALL).select_from(table(PLACE).alias("part"))
        united = " UNION ALL ".join([_within(bare, part, self._dialect) for part in parts])
        return _within(page.order_by(*clauses), united, self._dialect)


def own(order: TotalOrder) -> RawOrder:
    """Return `order` as the plan it is; raise `ConfigurationError` for another source's."""
    if isinstance(order, RawOrder):
        return order
    raise ConfigurationError("window", order, "with an order of this source")


_planned: WeakKeyDictionary[Order, dict[object, RawOrder]] = WeakKeyDictionary()


def raw_order(wanted: Order, dialect: str, not_null: frozenset[str]) -> RawOrder:
    """Return the total order, planned once; raise `ConfigurationError` for one that cannot be total."""
    plans = _planned.get(wanted)
    if plans is None:
        plans = _planned[wanted] = {}
    plan = plans.get((dialect, not_null))
    if plan is None:
        if wanted.append_key:
            raise ConfigurationError(
                "append_key",
                wanted.append_key,
                "False, since no unique key is known of raw SQL, with an order_by that ends in one",
            )
        keys = [_sort_key(key, dialect, not_null) for key in wanted.keys]
        if len({key.name for key in keys}) < len(keys):
            raise ConfigurationError("order_by", [key.name for key in keys], "with each key once")
        plan = plans[dialect, not_null] = RawOrder(keys, dialect)
    return plan


def _sort_key(key: Key, dialect: str, not_null: frozenset[str]) -> SortKey:
    if not isinstance(key.by, str) or PREFIX in key.by:
        raise ConfigurationError("order key", str(key.by), "to be the name of a column that the SQL selects")
    default = key.descending is NULLS_LARGEST[dialect]
    nulls_first = default if key.nulls is None else key.nulls == "first"
    return SortKey(key.by, key.descending, nulls_first, nullable=key.by not in not_null, kind=ANY)


def _text(statement: Select[Any], dialect: str) -> str:
    return str(statement.compile(dialect=WRITERS[dialect]))


def _within(outer: Select[Any], inner: str, dialect: str) -> str:
    return _text(outer, dialect).replace(PLACE, f"({inner})")


_rows = select(_ALL).select_from(table(PLACE).alias("page"))
_count = select(func.count()).select_from(table(PLACE).alias("page"))
NUMBERED = {name: Frame(_text(_rows.limit(_LIMIT).offset(_OFFSET), name)) for name in WRITERS}
"""For each dialect, the frame of the rows by number."""
COUNTED = {name: Frame(_text(_count, name)) for name in WRITERS}
"""For each dialect, the frame that counts all rows."""
CAPPED = {
    name: Frame(_within(_count, _text(_rows.limit(_LIMIT).offset(_FIRST), name), name)) for name in WRITERS
}
"""For each dialect, the frame that counts up to a limit."""
