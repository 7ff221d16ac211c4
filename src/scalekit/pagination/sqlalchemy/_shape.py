"""What a `select()` holds, and which shapes cannot be paged yet.

The only file that reads attributes which SQLAlchemy does not document. Each is as old as 1.4; one
that went away would be an AttributeError here, never a misread statement.
"""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Select, inspect, literal_column
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, Over

from scalekit.errors import ConfigurationError
from scalekit.pagination.sqlalchemy._identity import Leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import FromClause

_ONE: ColumnElement[Any] = literal_column("1")
_SUBQUERY = "page over select(statement.subquery()), with append_key=False if its order is total"


def checked_select(statement: object) -> Select[Any]:
    """Return `statement` if it is a `select()`; raise `ConfigurationError` otherwise."""
    if isinstance(statement, Select):
        return cast("Select[Any]", statement)
    raise ConfigurationError("statement", statement, f"to be a select(); of a UNION or a CTE {_SUBQUERY}")


def refuse(statement: Select[Any], *, own_order: bool) -> None:
    """Raise `ConfigurationError` for a statement that a page would cut wrongly.

    A keyset changes the WHERE clause: whatever is computed from all rows (groups, windows) or counted
    off them (DISTINCT, LIMIT) would change with it.
    """
    if statement._order_by_clauses and not own_order:
        clauses = ", ".join(str(clause) for clause in statement._order_by_clauses)
        raise ConfigurationError(
            "statement", f"ORDER BY {clauses}", "without ORDER BY: the paginator's order_by decides"
        )
    shapes = {
        "LIMIT or OFFSET": statement._has_row_limiting_clause,
        "DISTINCT": statement._distinct,
        "GROUP BY or HAVING": statement._group_by_clauses or statement._having_criteria,
        "a window function": _has_window(statement),
    }
    for shape, present in shapes.items():
        if present:
            raise ConfigurationError("statement", shape, f"without {shape}: {_SUBQUERY}")
    if statement._for_update_arg is not None:
        raise ConfigurationError("statement", "FOR UPDATE", "without FOR UPDATE: lock the page's rows by key")


def _has_window(statement: Select[Any]) -> bool:
    return any(
        isinstance(part, Over)
        for column in statement._raw_columns
        if not hasattr(column, "c")  # a whole table or entity
        for part in visitors.iterate(column)
    )


def is_orm(statement: Select[Any]) -> bool:
    """Return whether the statement selects entities or their attributes."""
    return bool(statement._propagate_attrs)


def is_ordered(statement: Select[Any]) -> bool:
    """Return whether the statement has an ORDER BY of its own."""
    return bool(statement._order_by_clauses)


def only_table(statement: Select[Any]) -> FromClause | None:
    """Return the one table (or alias of one) that the statement reads, or None if it may read more.

    It spares `final_froms()`, which takes longer than the query (130 to 200 µs).
    """
    if statement._setup_joins or statement._from_obj:
        return None
    found: set[Any] = set(statement.columns_clause_froms)
    for criterion in statement._where_criteria:
        found.update(from_objects(criterion))
    table: Any = found.pop() if len(found) == 1 else None
    return table if table is not None and Leaf(table, nullable=False).table is not None else None


def final_froms(statement: Select[Any]) -> Sequence[FromClause]:
    """Return the FROM clause as it will be sent, without the joins that eager loading adds."""
    bare: Select[Any] = statement.with_only_columns(_ONE, maintain_column_froms=True)
    return bare.get_final_froms()


def from_objects(element: ClauseElement) -> Sequence[FromClause]:
    """Return what an expression reads from, its own subqueries aside."""
    return element._from_objects


def described(statement: Select[Any]) -> tuple[tuple[str | None, Any], ...]:
    """Return (name, expression) for each thing selected; an entity counts as one."""
    return tuple([(each["name"], each["expr"]) for each in statement.column_descriptions])


def entity_of(expression: Any) -> Any | None:
    """Return the inspected mapper or alias if `expression` is a mapped entity, else None."""
    if isinstance(expression, ClauseElement):
        return None
    found: Any = inspect(expression, raiseerr=False)
    return found if getattr(found, "is_mapper", False) or getattr(found, "is_aliased_class", False) else None


def has_options(statement: Select[Any]) -> bool:
    """Return whether the statement has loader options."""
    return bool(statement._with_options)


def loads_joined(statement: Select[Any], entities: Sequence[Any]) -> bool:
    """Return whether joined eager loading may multiply rows, so that `unique()` must be called."""
    if not entities:
        return False
    return has_options(statement) or any(
        relationship.lazy in ("joined", False)
        for entity in entities
        for mapper in entity.mapper.self_and_descendants
        for relationship in mapper.relationships
    )


def element_of(expression: Any) -> ColumnElement[Any]:
    """Return the SQL expression behind a mapped attribute, or `expression` itself."""
    element = expression.__clause_element__() if hasattr(expression, "__clause_element__") else expression
    if not isinstance(element, ClauseElement):
        raise ConfigurationError("order key", expression, "to be a column or a SQL expression")
    return element  # type: ignore[return-value]
