"""The index that serves an order: what the statement compares with one value, then the order's keys."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import Alias, Column, Table
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping

from scalekit.pagination.sqlalchemy._forms import NULLS_LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement

    from scalekit.pagination.sqlalchemy._keys import SqlKey

_LONGEST_NAME = 63  # PostgreSQL's, the shortest


class Wanted(NamedTuple):
    """The index for an order: on `source` (a table, or an alias of one), after its `equal` columns."""

    source: Any
    equal: tuple[Any, ...]
    keys: Sequence[SqlKey]

    @property
    def table(self) -> Table:
        """The table that the index is on."""
        return _table(self.source)  # type: ignore[no-any-return]


def wanted(keys: Sequence[SqlKey], whereclause: ColumnElement[Any] | None) -> Wanted | None:
    """Return the index for these keys, or None if they are not all of one table."""
    sources = {id(column.table): column.table for key in keys for column in _columns(key.column)}
    if len(sources) != 1:
        return None
    [source] = sources.values()
    if not isinstance(_table(source), Table):
        return None
    ordered = {hash(key.column) for key in keys}
    equal = {hash(each): each for each in _equal(whereclause) if each.table is source}
    return Wanted(source, tuple(each for place, each in equal.items() if place not in ordered), keys)


def _table(source: Any) -> Any:
    return cast("Any", source).element if isinstance(source, Alias) else source


def create_index(index: Wanted, dialect: Dialect) -> str | None:
    """Return the statement that makes the index; None where the database indexes no expressions (MariaDB)."""
    if getattr(dialect, "is_mariadb", False) and not all(
        isinstance(key.column, Column) for key in index.keys
    ):
        return None
    preparer = dialect.identifier_preparer
    parts = [preparer.format_column(each) for each in index.equal]
    names = [str(each.name) for each in index.equal]
    for key in index.keys:
        part = _expression(key.column, dialect)
        if key.sort.descending:
            part += " DESC"
        default = key.sort.descending is NULLS_LARGEST[dialect.name]
        if key.sort.nullable and key.sort.nulls_first is not default and dialect.name == "postgresql":
            part += " NULLS FIRST" if key.sort.nulls_first else " NULLS LAST"
        parts.append(part)
        names += [str(column.name) for column in _columns(key.column)]
    on = f"{preparer.format_table(index.table)} ({', '.join(parts)})"
    # Other indexes on the same columns differ in directions and expressions, so names end in what is indexed.
    mark = hashlib.sha256(on.encode()).hexdigest()[:4]
    name = "_".join(["ix", index.table.name, *names])[: _LONGEST_NAME - len(mark) - 1]
    return f"CREATE INDEX {preparer.quote(f'{name}_{mark}')} ON {on}"


def _expression(column: ColumnElement[Any], dialect: Dialect) -> str:
    if isinstance(column, Column):
        return dialect.identifier_preparer.format_column(cast("Any", column))
    compiled = column.compile(dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False})
    return f"({compiled})"


def _columns(expression: ColumnElement[Any]) -> list[Any]:
    return [part for part in visitors.iterate(expression) if isinstance(part, Column)]


def _equal(condition: Any) -> Iterator[Any]:
    """Yield the columns that a condition compares with one value."""
    if isinstance(condition, Grouping):
        yield from _equal(cast("Any", condition).element)
    elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _equal(part)
    elif isinstance(condition, BinaryExpression) and condition.operator in {operators.eq, operators.is_}:
        for column, value in ((condition.left, condition.right), (condition.right, condition.left)):
            if isinstance(column, Column) and not _columns(value):
                yield column
    elif isinstance(condition, Column):  # a boolean
        yield condition
