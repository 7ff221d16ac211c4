"""From an order as the user writes it to SQL expressions whose NULLs and types are known."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sqlalchemy import Double, Float, Integer, literal_column, type_coerce
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from scalekit.errors import ConfigurationError
from scalekit.pagination._order import Key, SortKey
from scalekit.pagination._values import kind_of
from scalekit.pagination.sqlalchemy._forms import MYSQL, NULLS_LARGEST
from scalekit.pagination.sqlalchemy._shape import element_of, entity_of, from_objects

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination._order import Nulls
    from scalekit.pagination.sqlalchemy._identity import Froms


# Moments and the like: a number or a text may as well be one of a few, as a status or a price is.
_MANY_VALUES = (datetime, timedelta, float, UUID, bytes)


class SqlKey(NamedTuple):
    """One key of a total order, with its expression; `column` is what that reads, before any coercion.

    `read` is what its value is read from; `may_tie` says that very many rows may share a value.
    """

    sort: SortKey
    element: ColumnElement[Any]
    column: ColumnElement[Any]
    read: ColumnElement[Any]
    may_tie: bool


def resolve(key: Key, selected: tuple[tuple[str | None, Any], ...], froms: Froms, dialect: Dialect) -> SqlKey:
    """Return `key` as SQL.

    Raises `ConfigurationError` for a name that the statement does not select, an expression over
    tables that it does not read, and a type whose values have no faithful text.
    """
    found = _named(key.by, selected) if isinstance(key.by, str) else key.by
    column, written = _unwrapped(element_of(found))
    if written.descending or written.nulls is not None:
        if key.descending or key.nulls is not None:
            raise ConfigurationError("order key", str(key.by), "to give its direction once")
        key = written
    read = {hash(leaf.clause) for leaf in froms.leaves}
    if any(hash(source) not in read for source in from_objects(column)):
        column = froms.shown(column)
    if any(hash(source) not in read for source in from_objects(column)):
        raise ConfigurationError("order key", str(column), "to come from a table that the statement reads")
    element, python_type = _plain(column, dialect)
    kind = None if python_type is None else kind_of(python_type)
    if kind is None or python_type is None:
        raise ConfigurationError(
            "order key",
            str(column),
            f"of a type with an order, not {column.type!r}; or type_coerce() it to one",
        )
    default = key.descending is NULLS_LARGEST[dialect.name]
    nulls_first = default if key.nulls is None else key.nulls == "first"
    name = _named_everywhere(column, froms, dialect)
    sort = SortKey(name, key.descending, nulls_first, froms.nullable(column), kind)
    may_tie = not issubclass(python_type, _MANY_VALUES)
    return SqlKey(sort, element, column, _exact(element, dialect), may_tie)


def moved(key: SqlKey, column: ColumnElement[Any], dialect: Dialect) -> SqlKey:
    """Return `key` read from `column`, where a subquery computes it."""
    element = _plain(column, dialect)[0]
    return key._replace(element=element, read=element)


def _named(name: str, selected: tuple[tuple[str | None, Any], ...]) -> Any:
    found: list[Any] = []
    for label, expression in selected:
        entity = entity_of(expression)
        if entity is None:
            if label == name:
                found.append(expression)
        elif name in entity.mapper.all_orm_descriptors and name not in entity.mapper.relationships:
            found.append(getattr(expression, name))
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError("order key", name, "to name one selected column; pass the column itself")
    raise ConfigurationError("order key", name, "to name a selected column; or pass the column itself")


_MODIFIERS = (operators.desc_op, operators.asc_op, operators.nulls_first_op, operators.nulls_last_op)


def _unwrapped(expression: ColumnElement[Any]) -> tuple[ColumnElement[Any], Key]:
    """Return the expression without .desc(), .nulls_last() and labels, and what those said."""
    element: Any = expression
    said: set[Any] = set()
    while element.__visit_name__ == "label" or getattr(element, "modifier", None) in _MODIFIERS:
        said.add(getattr(element, "modifier", None))
        element = element.element
    nulls: Nulls | None = None
    if operators.nulls_first_op in said or operators.nulls_last_op in said:
        nulls = "first" if operators.nulls_first_op in said else "last"
    return element, Key(element, operators.desc_op in said, nulls)


def _plain(column: ColumnElement[Any], dialect: Dialect) -> tuple[ColumnElement[Any], type | None]:
    """Return the expression read as the database stores it, and the Python type of its values."""
    stored = _declared(column)
    # The database sorts what is stored, not what a decorator makes of it (Interval is one only in places).
    while _decorates(stored) and _decorates(stored.dialect_impl(dialect)):
        stored = stored.load_dialect_impl(dialect)
    try:
        python_type = stored.python_type
    except NotImplementedError:
        return column, None
    if dialect.name in MYSQL and getattr(stored, "native_enum", False):
        raise ConfigurationError(
            "order key", str(column), "other than an ENUM, which MySQL sorts by number and compares as text"
        )
    if python_type is Decimal and dialect.name == "sqlite":
        # SQLite stores a float; as a rounded Decimal it would not compare equal to itself.
        stored, python_type = Float(), float
    return (column if stored is column.type else type_coerce(column, stored)), python_type


def _exact(element: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Return `element` such that its value equals it.

    MySQL shows a FLOAT with six digits, which are not what it compares with (its manual, B.3.4.8).
    """
    if dialect.name not in MYSQL or element.type.__visit_name__.lower() != "float":
        return element
    narrow = (getattr(element.type, "precision", None) or 0) <= _FLOAT_BITS
    return type_coerce(element + literal_column("0e0"), Double()) if narrow else element


_FLOAT_BITS = 24
_COUNTING = ("row_number", "ntile")  # which SQLAlchemy gives no type


def _declared(column: Any) -> Any:
    counts = column.__visit_name__ == "over" and getattr(column.element, "name", None) in _COUNTING
    return Integer() if counts else column.type


def _decorates(stored: Any) -> bool:
    return isinstance(stored, TypeDecorator)


def _named_everywhere(column: Any, froms: Froms, dialect: Dialect) -> str:
    """Return the key's name, the same in every process."""
    index = froms.leaf_of(column)
    if index is None:
        compiled = column.compile(dialect=dialect)
        return f"{compiled} {sorted(compiled.params.items())!r}"
    leaf = froms.leaves[index]
    table = leaf.table
    if table is None:
        return f"#{index}.{column.key}"
    name = table.fullname if leaf.clause is table else f"{table.fullname}#{index}"
    return f"{name}.{column.key}"
