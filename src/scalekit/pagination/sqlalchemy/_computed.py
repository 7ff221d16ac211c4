"""Statements whose rows are computed from other rows: groups, distinct rows, windows, the first so many.

A keyset is one more condition, and where it may stand depends on what is computed. Over groups it is
a HAVING. Distinct rows may be restricted by what they are distinct in. What a window or a LIMIT makes
of all rows is computed in a subquery, which is joined by the rows' identity: so entities, their
joins and loader options stay as they were written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Column, Select, and_, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import FunctionElement

from scalekit.errors import ConfigurationError
from scalekit.pagination.sqlalchemy._forms import MYSQL
from scalekit.pagination.sqlalchemy._shape import (
    SUBQUERY,
    copied,
    described,
    distinct_on,
    element_of,
    entity_of,
    groups,
    has_entities,
    has_window,
    is_cut,
    is_distinct,
    only_columns,
    own_order,
    uncut,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination.sqlalchemy._identity import Froms
    from scalekit.pagination.sqlalchemy._shape import Statement


class Kept(NamedTuple):
    """What tells the rows of a statement apart: the rows that it reads, or what it folds them into."""

    froms: Froms
    folded: Sequence[ColumnElement[Any]] | None
    """The expressions of GROUP BY or DISTINCT, None where each row read is a row."""
    grouped: bool

    @property
    def known(self) -> bool:
        """Whether a set of columns is known in which no two rows are equal."""
        return self.folded is not None or self.froms.known

    def identity(self, columns: Sequence[Any]) -> list[ColumnElement[Any]]:
        """Return what to add to `columns` so that no two rows are equal in all of them."""
        if self.folded is None:
            return self.froms.identity(columns)
        have = {hash(column) for column in columns}
        added = [each for each in self.folded if hash(each) not in have]
        for each in tuple(added):  # what the others determine adds nothing, as a name beside its id
            others = [*columns, *[other for other in added if other is not each]]
            if _determined(each, others, self.froms):
                added = [other for other in added if other is not each]
        return added

    def check(self, column: ColumnElement[Any], dialect: Dialect) -> None:
        """Raise `ConfigurationError` for an order key that has not one value for each row."""
        if self.folded is None:
            return
        if not _fits(column, self.folded, self.froms):
            raise ConfigurationError("order key", str(column), "to be grouped by, or selected by DISTINCT")
        plain = isinstance(column, (Column, FunctionElement)) or has_window(column)
        if self.grouped and not plain and dialect.name in MYSQL:
            raise ConfigurationError(
                "order key", str(column), f"a column or an aggregate, as MySQL's HAVING wants: {SUBQUERY}"
            )


def kept(statement: Select[Any], froms: Froms) -> Kept:
    """Return what tells the rows of `statement` apart."""
    if is_distinct(statement):
        if any(has_window(expression) for _, expression in described(statement)):
            raise ConfigurationError("statement", "DISTINCT over a window function", f"without: {SUBQUERY}")
        selected: list[ColumnElement[Any]] = []
        for _, expression in described(statement):
            entity = entity_of(expression)
            if entity is None:
                selected.append(_bare(element_of(expression)))
            else:
                attributes = [getattr(expression, each.key) for each in entity.mapper.column_attrs]
                selected += [element_of(attribute) for attribute in attributes]
        return Kept(froms, selected, grouped=False)
    by = groups(statement)
    return Kept(froms, by, grouped=by is not None)


def _bare(element: Any) -> ColumnElement[Any]:
    while element.__visit_name__ == "label":
        element = element.element
    return element  # type: ignore[no-any-return]


def _determined(expression: ColumnElement[Any], columns: Sequence[Any], froms: Froms) -> bool:
    if hash(expression) in {hash(column) for column in columns}:
        return True
    leaves = {froms.leaf_of(part) for part in visitors.iterate(expression) if isinstance(part, Column)}  # pyright: ignore[reportUnknownArgumentType]
    if not leaves or None in leaves or has_window(expression):
        return False
    unsettled = [froms.leaves.index(leaf) for leaf in froms.undetermined(columns)]
    return leaves.isdisjoint(unsettled)


def _fits(expression: Any, folded: Sequence[ColumnElement[Any]], froms: Froms) -> bool:
    if _determined(expression, folded, froms) or isinstance(expression, FunctionElement):
        return True  # of a function the database must say whether it is an aggregate
    children = list(expression.get_children())
    return not isinstance(expression, Column) and all(_fits(child, folded, froms) for child in children)


class Computed(NamedTuple):
    """A statement that a keyset, an order and a limit can be added to, and where its windows went."""

    base: Select[Any]
    moved: dict[int, ColumnElement[Any]]
    """By the hash of an expression: the column of the subquery that computes it."""


def computed(statement: Select[Any], rows: Kept, keys: Sequence[ColumnElement[Any]]) -> Computed | None:
    """Return `statement` with its windows and its LIMIT in a subquery, or None if it has neither.

    `keys` are the order's. Raises `ConfigurationError` where the rows have no known identity to join by.
    """
    selected = described(statement)
    windows = {hash(each): each for each in keys if has_window(each)}
    for _, expression in selected:
        if has_window(expression):
            windows.setdefault(hash(_bare(element_of(expression))), _bare(element_of(expression)))
    if not windows and not is_cut(statement):
        return None
    identity = rows.identity([])
    inner = only_columns(
        statement,
        [
            *[each.label(f"_scalekit_i{at}") for at, each in enumerate(identity)],
            *[each.label(f"_scalekit_w{at}") for at, each in enumerate(windows.values())],
            *_order_columns(statement),
        ],
    )
    if is_cut(statement):  # made total, so that each page cuts off the same rows
        first = () if own_order(statement) else distinct_on(statement)
        inner = inner.order_by(*first, *identity)
    sub = inner.subquery()
    moved: dict[int, ColumnElement[Any]] = {
        each: sub.c[f"_scalekit_w{at}"] for at, each in enumerate(windows)
    }
    base: Any = uncut(statement)
    if windows:
        base = base.with_only_columns(
            *[_moved(name, expression, moved) for name, expression in selected], maintain_column_froms=True
        )
    if rows.folded is not None and windows:
        base = base.group_by(*moved.values())
    same = joined(identity, list(sub.c), rows.froms)
    return Computed(base.where(and_(*same)), moved)


def joined(
    identity: Sequence[ColumnElement[Any]], columns: Iterable[ColumnElement[Any]], froms: Froms
) -> list[ColumnElement[bool]]:
    """Return the conditions under which a row is the one whose identity a subquery's first columns hold."""
    return [
        # A database joins by = with a hash or an index, and by IS NOT DISTINCT FROM pair by pair.
        each.is_not_distinct_from(column) if froms.nullable(each) else each == column
        for each, column in zip(identity, columns, strict=False)
    ]


def _order_columns(statement: Select[Any]) -> list[ColumnElement[Any]]:
    # SELECT DISTINCT a ORDER BY b is refused by PostgreSQL: what orders must be selected.
    if not is_distinct(statement):
        return []
    return [_undirected(each).label(f"_scalekit_o{at}") for at, each in enumerate(own_order(statement))]


def _undirected(clause: Any) -> ColumnElement[Any]:
    while (
        clause.__visit_name__ in {"label", "label_reference"} or getattr(clause, "modifier", None) is not None
    ):
        clause = clause.element
    return clause  # type: ignore[no-any-return]


def _moved(name: str | None, expression: Any, moved: dict[int, ColumnElement[Any]]) -> Any:
    if entity_of(expression) is not None:
        return expression
    column = moved.get(hash(_bare(element_of(expression))))
    return expression if column is None else column.label(name)


def wrapped(statement: Statement) -> Select[Any]:
    """Return a `select()` of the statement as a subquery, for rows that nothing is known of."""
    if has_entities(statement):
        raise ConfigurationError(
            "statement", "entities of no known key", "to select columns, or from a table with a primary key"
        )
    sub = copied(statement).subquery()
    return select(*sub.c)
