"""A statement and an order, planned once: per page only values are bound.

Building a statement and its cache key costs more than the whole query on SQLite (115 of 167 µs), so
the elements are kept for each order and the finished statements for each statement object. All values
are named, typed binds, LIMIT too: SQLAlchemy compiles, and the server prepares, once for all pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Integer, Select, and_, bindparam, func, select, union_all
from sqlalchemy.sql.selectable import Join

from scalekit.errors import ConfigurationError
from scalekit.pagination._order import Key, TotalOrder
from scalekit.pagination._ranges import ranges
from scalekit.pagination.sqlalchemy._forms import Forms, order_by
from scalekit.pagination.sqlalchemy._identity import Froms
from scalekit.pagination.sqlalchemy._keys import NULLS_LARGEST, resolve
from scalekit.pagination.sqlalchemy._reader import Reader
from scalekit.pagination.sqlalchemy._shape import (
    described,
    entity_of,
    final_froms,
    has_options,
    is_ordered,
    only_table,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination._order import Order
    from scalekit.pagination._window import Window
    from scalekit.pagination.sqlalchemy._keys import SqlKey

_LIMIT = bindparam("_scalekit_limit", type_=Integer)
_OFFSET = bindparam("_scalekit_offset", type_=Integer)
_MOST_SHAPES = 64


class SelectOrder(TotalOrder):
    """A total order over a statement's rows, with the statements that read it."""

    __slots__ = ("_elements", "_forms", "_names", "_nulls_largest", "_sql", "_statements", "reader")

    def __init__(self, statement: Select[Any], sql: Sequence[SqlKey], dialect: Dialect) -> None:
        super().__init__([key.sort for key in sql])
        self.reader = Reader(statement, [key.element for key in sql])
        self._sql = sql
        self._nulls_largest = NULLS_LARGEST[dialect.name]
        self._names = [f"_scalekit_{index}" for index in range(len(sql))]
        binds = [bindparam(name, type_=key.element.type) for name, key in zip(self._names, sql, strict=True)]
        self._forms = Forms(sql, binds, row_values=dialect.name == "postgresql")
        self._elements: dict[
            object, tuple[list[tuple[ColumnElement[bool], int]], list[ColumnElement[Any]]]
        ] = {}
        self._statements: WeakKeyDictionary[Select[Any], dict[object, Select[Any]]] = WeakKeyDictionary()

    def statement(self, base: Select[Any], window: Window) -> tuple[Select[Any], dict[str, Any]]:
        """Return the statement that reads `window` of `base`, and its parameters."""
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
            return self.reader.prepared(base).order_by(*clauses).limit(_LIMIT)
        if len(branches) == 1:
            return self.reader.prepared(base).where(branches[0][0]).order_by(*clauses).limit(_LIMIT)
        # The branches find the keys, each from its own stretch of the index; the rows are then read by
        # key, so that entities, options and joins load as they always do.
        keyed = base.add_columns(
            *[key.element.label(name) for key, name in zip(self._sql, self._names, strict=True)]
        )
        parts: list[Select[Any]] = []
        for predicate, fixed in branches:
            branch = keyed.where(predicate).order_by(*clauses[fixed:]).limit(_LIMIT).subquery()
            parts.append(select(*[branch.c[name] for name in self._names]))
        united = union_all(*parts).subquery()
        columns = [united.c[name] for name in self._names]
        keys = select(*columns).order_by(*self._sorted(columns, backward=backward)).limit(_LIMIT).subquery()
        same = [
            key.element.is_not_distinct_from(keys.c[name])
            if key.sort.nullable
            else key.element == keys.c[name]
            for key, name in zip(self._sql, self._names, strict=True)
        ]
        return self.reader.prepared(base).where(and_(*same)).order_by(*clauses)

    def _elements_of(
        self, window: Window
    ) -> tuple[list[tuple[ColumnElement[bool], int]], list[ColumnElement[Any]]]:
        position, backward = window.position, window.backward
        clauses = self._sorted([key.element for key in self._sql], backward=backward)
        if position is None:
            return [], clauses
        found = ranges(self, position.values, backward=backward, inclusive=position.inclusive)
        return self._forms.branches(found, [value is None for value in position.values]), clauses

    def _sorted(self, elements: Sequence[ColumnElement[Any]], *, backward: bool) -> list[ColumnElement[Any]]:
        pairs = zip(self.keys, elements, strict=True)
        return order_by(pairs, backward=backward, nulls_largest=self._nulls_largest)


def own(order: TotalOrder) -> SelectOrder:
    """Return `order` as the plan it is; raise `ConfigurationError` for another source's."""
    if isinstance(order, SelectOrder):
        return order
    raise ConfigurationError("window", order, "with an order of this source")


class _Plans:
    """What was planned for one order on one dialect."""

    __slots__ = ("by_shape", "by_statement")

    def __init__(self) -> None:
        self.by_statement: WeakKeyDictionary[Select[Any], SelectOrder] = WeakKeyDictionary()
        self.by_shape: dict[object, SelectOrder] = {}


_plans: WeakKeyDictionary[Order, dict[str, _Plans]] = WeakKeyDictionary()


def planned(wanted: Order, statement: Select[Any], dialect: Dialect) -> SelectOrder:
    """Return the total order for `statement`, planning it if it was not planned before.

    Raises `ConfigurationError` for shapes and orders that cannot be paged.
    """
    by_dialect = _plans.get(wanted)
    if by_dialect is None:
        by_dialect = _plans[wanted] = {}
    plans = by_dialect.get(dialect.name)
    if plans is None:
        plans = by_dialect[dialect.name] = _Plans()
    plan = plans.by_statement.get(statement)
    if plan is not None:
        return plan
    refuse(statement, own_order=False)
    table = only_table(statement)
    if table is None:
        plan = _planned(wanted, statement, froms_of(statement), dialect)
    else:
        # Applications build a statement per request: those that select the same share their elements.
        shape = (table, described(statement), has_options(statement))
        plan = plans.by_shape.get(shape)
        if plan is None:
            plan = _planned(wanted, statement, Froms([table], None), dialect)
            if len(plans.by_shape) >= _MOST_SHAPES:
                plans.by_shape.clear()
            plans.by_shape[shape] = plan
    plans.by_statement[statement] = plan
    return plan


def froms_of(statement: Select[Any]) -> Froms:
    """Return the statement's FROM clause, taken apart; refuse one that repeats its only entity.

    `session.scalars(statement).unique()` would drop the repeats, and pages would come out short.
    """
    froms = Froms(final_froms(statement), statement.whereclause)
    selected = described(statement)
    entity = entity_of(selected[0][1]) if len(selected) == 1 else None
    if entity is not None and froms.known:
        clause = entity.selectable
        while isinstance(clause, Join):
            clause = clause.left
        own = [leaf for leaf in froms.leaves if hash(leaf.clause) == hash(clause)]
        if not own or froms.undetermined(next(own[0].keys(strict=True))):
            raise ConfigurationError(
                "statement",
                f"a join that repeats {selected[0][0]}",
                "with each entity once: filter with relationship.any(), or load with selectinload()",
            )
    return froms


def _planned(wanted: Order, statement: Select[Any], froms: Froms, dialect: Dialect) -> SelectOrder:
    selected = described(statement)
    keys = [resolve(key, selected, froms, dialect) for key in wanted.keys]
    if len({key.sort.name for key in keys}) < len(keys):
        raise ConfigurationError("order_by", [key.sort.name for key in keys], "with each key once")
    if froms.known:
        added = froms.identity([key.column for key in keys])
        if added and not wanted.append_key:
            raise ConfigurationError(
                "append_key",
                wanted.append_key,
                f"True, or an order that ends in {', '.join(map(str, added))}",
            )
        # In the direction of the last key, so that a uniform order stays uniform.
        last = bool(keys) and keys[-1].sort.descending
        keys += [resolve(Key(column, last), selected, froms, dialect) for column in added]
    elif wanted.append_key:
        raise ConfigurationError(
            "append_key", wanted.append_key, "False, where no unique key is known, if order_by is total"
        )
    return SelectOrder(statement, keys, dialect)


class Numbered:
    """A statement prepared for pages by number: its own ORDER BY, made total by its unique keys."""

    __slots__ = ("reader", "statement")

    def __init__(self, statement: Select[Any]) -> None:
        refuse(statement, own_order=True)
        froms = froms_of(statement)
        identity = froms.identity([]) if froms.known else []
        if not identity and not is_ordered(statement):
            raise ConfigurationError("statement", statement, "with an ORDER BY, since no unique key is known")
        self.reader = Reader(statement, identity)
        self.statement = self.reader.prepared(statement).order_by(*identity).limit(_LIMIT).offset(_OFFSET)


_numbered: WeakKeyDictionary[Select[Any], Numbered] = WeakKeyDictionary()


def numbered(statement: Select[Any]) -> Numbered:
    """Return `statement` prepared for pages by number; raise `ConfigurationError` for what cannot be."""
    plan = _numbered.get(statement)
    if plan is None:
        plan = _numbered[statement] = Numbered(statement)
    return plan


def numbers(offset: int, limit: int) -> dict[str, int]:
    """Return the parameters of a `Numbered` statement."""
    return {"_scalekit_limit": limit, "_scalekit_offset": offset}


def counting(statement: Select[Any], at_most: int | None) -> tuple[Select[Any], dict[str, Any]]:
    """Return the statement that counts the rows, up to `at_most`, and its parameters."""
    counted = statement.order_by(None)
    if at_most is None:
        return select(func.count()).select_from(counted.subquery()), {}
    return select(func.count()).select_from(counted.limit(_LIMIT).subquery()), {"_scalekit_limit": at_most}
