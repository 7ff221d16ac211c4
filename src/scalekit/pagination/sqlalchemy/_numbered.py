"""Pages by number, and counting: a statement's own ORDER BY, made total by its unique keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, CompoundSelect, Integer, and_, bindparam, func, select

from scalekit.errors import ConfigurationError
from scalekit.pagination.sqlalchemy._computed import joined, kept
from scalekit.pagination.sqlalchemy._explain import ESTIMATES, Explain
from scalekit.pagination.sqlalchemy._plan import froms_of
from scalekit.pagination.sqlalchemy._reader import Reader, plain_rows
from scalekit.pagination.sqlalchemy._select_order import LIMIT
from scalekit.pagination.sqlalchemy._shape import (
    ONE,
    copied,
    described,
    distinct_on,
    element_of,
    entity_of,
    groups,
    has_window,
    is_cut,
    is_distinct,
    only_columns,
    own_limit,
    own_order,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect, Result, Select
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination.sqlalchemy._identity import Froms
    from scalekit.pagination.sqlalchemy._shape import Statement

_OFFSET = bindparam("_scalekit_offset", type_=Integer)


_DEEP = 1_000
"""Rows before a page from which its keys are found first: the database then passes over an index alone."""


class Numbered:
    """A statement prepared for pages by number."""

    __slots__ = ("_deep", "_limit", "_offset", "_reader", "_shallow")

    def __init__(self, statement: Statement) -> None:
        refuse(statement, own_order=True)
        # A page of a statement that has a LIMIT is one of its rows: the two are added up for each page.
        self._offset, self._limit = own_limit(statement)
        self._reader: Reader | None = None
        if isinstance(statement, CompoundSelect):
            _check_order(statement)
            self._shallow: Statement = statement.limit(LIMIT).offset(_OFFSET)
            self._deep: Statement = self._shallow
            return
        rows = kept(statement, froms_of(statement))
        identity = rows.identity([]) if rows.known else []
        if not identity:
            _check_order(statement)
        first = () if own_order(statement) else distinct_on(statement)
        self._reader = Reader(statement, identity)
        prepared = self._reader.prepared(statement).order_by(*first, *identity)
        self._shallow = prepared.limit(LIMIT).offset(_OFFSET)
        self._deep = self._shallow
        if identity and rows.folded is None and not distinct_on(statement) and not _computes(statement):
            self._deep = _by_key(statement, prepared, identity, rows.froms)

    def window(self, offset: int, limit: int) -> tuple[Statement, dict[str, int]]:
        """Return what reads at most `limit` rows after the first `offset`: a statement, its parameters."""
        if self._limit is not None:
            limit = max(0, min(limit, self._limit - offset))
        offset += self._offset
        statement = self._deep if offset >= _DEEP else self._shallow
        return statement, {"_scalekit_limit": limit, "_scalekit_offset": offset}

    def items(self, result: Result[Any]) -> Sequence[Any]:
        """Return the rows found, as the user selected them."""
        return plain_rows(result) if self._reader is None else self._reader.rows(result).items


def _computes(statement: Select[Any]) -> bool:
    parts: list[Any] = [expression for _, expression in described(statement)]
    return any(has_window(part) for part in [*parts, *own_order(statement)])


def _by_key(
    statement: Select[Any], prepared: Select[Any], identity: Sequence[ColumnElement[Any]], froms: Froms
) -> Select[Any]:
    """Return the statement that finds the page's keys and then its rows (a deferred join)."""
    labelled = [each.label(f"_scalekit_k{at}") for at, each in enumerate(identity)]
    inner = only_columns(statement, labelled).order_by(*identity).limit(LIMIT).offset(_OFFSET).subquery()
    whole = prepared.limit(None).offset(None)
    return whole.where(and_(*joined(identity, inner.c, froms)))


def _check_order(statement: Statement) -> None:
    if not own_order(statement):
        raise ConfigurationError("statement", statement, "with an ORDER BY, since no unique key is known")


_numbered: WeakKeyDictionary[Statement, Numbered] = WeakKeyDictionary()


def numbered(statement: Statement) -> Numbered:
    """Return `statement` prepared for pages by number; raise `ConfigurationError` for what cannot be."""
    plan = _numbered.get(statement)
    if plan is None:
        plan = _numbered[statement] = Numbered(statement)
    return plan


class Counting:
    """A statement prepared to be counted: all of it, or up to a number."""

    __slots__ = ("capped", "exact")

    def __init__(self, statement: Statement) -> None:
        rows = _to_count(statement)
        self.exact: Select[Any] = select(func.count()).select_from(rows.subquery())
        if is_cut(statement):  # its own LIMIT counts too: it stays inside
            rows = select(ONE).select_from(rows.subquery())
        self.capped: Select[Any] = select(func.count()).select_from(rows.limit(LIMIT).subquery())


_countings: WeakKeyDictionary[Statement, Counting] = WeakKeyDictionary()


def counting(statement: Statement, at_most: int | None) -> tuple[Select[Any], dict[str, Any]]:
    """Return the statement that counts the rows, up to `at_most`, and its parameters."""
    plan = _countings.get(statement)
    if plan is None:
        plan = _countings[statement] = Counting(statement)
    return (plan.exact, {}) if at_most is None else (plan.capped, {"_scalekit_limit": at_most})


def _to_count(statement: Any) -> Any:
    if is_cut(statement):  # which rows there are may depend on its order (WITH TIES does)
        return copied(statement)
    kind: object = statement
    if isinstance(kind, CompoundSelect) or is_distinct(statement) or groups(statement) is not None:
        return statement.order_by(None)
    if not all(_is_plain(expression) for _, expression in described(statement)):
        return statement.order_by(None)  # PostgreSQL's generate_series() and the like multiply rows
    # No column need be read, and no loader option applies.
    return only_columns(statement, [ONE]).order_by(None)


def _is_plain(expression: Any) -> bool:
    return entity_of(expression) is not None or isinstance(element_of(expression), Column)


def estimating(statement: Statement, dialect: Dialect) -> Explain | None:
    """Return what asks the database for its estimate, or None of one that has none."""
    options = ESTIMATES.get(dialect.name)
    if options is None:
        return None
    return Explain(select(ONE).select_from(_to_count(statement).subquery()), options)
