"""An order over a statement's rows, with the statements that read it: per page only values are bound.

Building a statement and its cache key costs more than the whole query on SQLite (115 of 167 µs), so
the elements are kept for each order and the finished statements for each statement object. All values
are named, typed binds, LIMIT too: SQLAlchemy compiles, and the server prepares, once for all pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Integer, Select, and_, bindparam, select, union_all

from scalekit.errors import ConfigurationError
from scalekit.pagination._order import TotalOrder
from scalekit.pagination._ranges import ranges
from scalekit.pagination.sqlalchemy._forms import Forms, form_of, order_by
from scalekit.pagination.sqlalchemy._reader import Reader
from scalekit.pagination.sqlalchemy._shape import groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination._window import Window
    from scalekit.pagination.sqlalchemy._forms import Form
    from scalekit.pagination.sqlalchemy._keys import SqlKey
    from scalekit.pagination.sqlalchemy._shape import Statement

LIMIT = bindparam("_scalekit_limit", type_=Integer)


class SelectOrder(TotalOrder):
    """A total order over a statement's rows, with the statements that read it.

    `base` is what stands for a statement whose rows had to be computed in a subquery.
    """

    __slots__ = (
        "_base",
        "_dialect",
        "_elements",
        "_forms",
        "_grouped",
        "_names",
        "_statements",
        "reader",
        "sql",
    )

    def __init__(
        self,
        statement: Select[Any],
        sql: Sequence[SqlKey],
        dialect: Dialect,
        *,
        form: Form | None = None,
        base: Select[Any] | None = None,
    ) -> None:
        super().__init__([key.sort for key in sql])
        self._base = base
        self._grouped = groups(statement) is not None
        self.reader = Reader(statement, [key.read for key in sql])
        self.sql = sql
        self._dialect = dialect
        self._names = [f"_scalekit_{index}" for index in range(len(sql))]
        binds = [bindparam(name, type_=key.element.type) for name, key in zip(self._names, sql, strict=True)]
        # In one branch, always, where no index helps: several would compute everything anew.
        whole = self._grouped or base is not None
        self._forms = Forms(sql, binds, "or" if whole else form_of(sql, dialect, form))
        self._elements: dict[
            object, tuple[list[tuple[ColumnElement[bool], int]], list[ColumnElement[Any]]]
        ] = {}
        self._statements: WeakKeyDictionary[Select[Any], dict[object, Select[Any]]] = WeakKeyDictionary()

    @property
    def of_one_statement(self) -> bool:
        """Whether this order holds a statement, its WHERE included: no other may be read with it."""
        return self._base is not None

    def statement(self, base: Statement, window: Window) -> tuple[Select[Any], dict[str, Any]]:
        """Return the statement that reads `window` of `base`, and its parameters."""
        base = cast("Select[Any]", base) if self._base is None else self._base
        position = window.position
        parameters: dict[str, Any] = {}
        pattern: tuple[object, ...] = (window.backward,)
        if position is not None:
            parameters = dict(zip(self._names, position.values, strict=True))
            nulls = tuple([value is None for value in position.values])
            pattern = (window.backward, position.inclusive, nulls)
        parameters["_scalekit_limit"] = window.limit
        prepared = self._statements.get(base)
        if prepared is None:
            prepared = self._statements[base] = {}
        statement = prepared.get(pattern)
        if statement is None:
            statement = prepared[pattern] = self._built(base, window, pattern)
        return statement, parameters

    def _built(self, base: Select[Any], window: Window, pattern: object) -> Select[Any]:
        if pattern not in self._elements:
            self._elements[pattern] = self._elements_of(window)
        branches, clauses = self._elements[pattern]
        backward = window.backward
        if window.position is None:
            return self.reader.prepared(base).order_by(*clauses).limit(LIMIT)
        if len(branches) == 1:
            found = self._restricted(self.reader.prepared(base), branches[0][0])
            return found.order_by(*clauses).limit(LIMIT)
        # The branches find the keys, each from its own stretch of the index; the rows are then read by
        # key, so that entities, options and joins load as they always do.
        keyed = base.add_columns(
            *[key.element.label(name) for key, name in zip(self.sql, self._names, strict=True)]
        )
        parts: list[Select[Any]] = []
        for predicate, fixed in branches:
            branch = keyed.where(predicate).order_by(*clauses[fixed:]).limit(LIMIT).subquery()
            parts.append(select(*[branch.c[name] for name in self._names]))
        united = union_all(*parts).subquery()
        columns = [united.c[name] for name in self._names]
        keys = select(*columns).order_by(*self._sorted(columns, backward=backward)).limit(LIMIT).subquery()
        same = [
            key.element.is_not_distinct_from(keys.c[name])
            if key.sort.nullable
            else key.element == keys.c[name]
            for key, name in zip(self.sql, self._names, strict=True)
        ]
        return self.reader.prepared(base).where(and_(*same)).order_by(*clauses)

    def _restricted(self, statement: Select[Any], predicate: ColumnElement[bool]) -> Select[Any]:
        return statement.having(predicate) if self._grouped else statement.where(predicate)

    def _elements_of(
        self, window: Window
    ) -> tuple[list[tuple[ColumnElement[bool], int]], list[ColumnElement[Any]]]:
        position, backward = window.position, window.backward
        clauses = self._sorted([key.element for key in self.sql], backward=backward)
        if position is None:
            return [], clauses
        found = ranges(self, position.values, backward=backward, inclusive=position.inclusive)
        return self._forms.branches(found, [value is None for value in position.values]), clauses

    def _sorted(self, elements: Sequence[ColumnElement[Any]], *, backward: bool) -> list[ColumnElement[Any]]:
        pairs = zip(self.keys, elements, strict=True)
        return order_by(pairs, backward=backward, dialect=self._dialect)


def own(order: TotalOrder) -> SelectOrder:
    """Return `order` as the plan it is; raise `ConfigurationError` for another source's."""
    if isinstance(order, SelectOrder):
        return order
    raise ConfigurationError("window", order, "with an order of this source")
