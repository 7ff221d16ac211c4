"""The ranges beyond a position as SQL, in the form that each database reads from an index.

Rows read for a page of 20 in the middle of 3,000,000, PostgreSQL 15: row value 21, nested AND 22 to 32,
plain OR 1,000,022; NULLs by UNION ALL 22, by OR 1,001,622. SQLite uses only the first column of a row
value, so it gets the nested AND, or UNION ALL where ties may be many. MariaDB, 1,000,000: plain OR 22,
row value 500,022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import and_, false, or_, tuple_

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import BindParameter, ColumnElement

    from scalekit.pagination._order import SortKey
    from scalekit.pagination._ranges import Range
    from scalekit.pagination.sqlalchemy._keys import SqlKey

Form: TypeAlias = 'Literal["row", "nested", "union", "or"]'

# What each database can read from an index where its keys are NOT NULL: the first is chosen.
_FORMS: dict[str, tuple[Form, ...]] = {
    "postgresql": ("row", "nested", "union", "or"),
    "sqlite": ("nested", "row", "union", "or"),
    "mysql": ("or", "nested", "row"),
    "mariadb": ("or", "nested", "row"),
}
MYSQL = frozenset({"mysql", "mariadb"})
"""What SQLAlchemy calls the one family; it knows no NULLS FIRST."""
NULLS_LARGEST = {"postgresql": True, "sqlite": False, "mysql": False, "mariadb": False}
"""How each supported database sorts NULLs unasked."""


def form_of(keys: Sequence[SqlKey], dialect: Dialect, asked: Form | None) -> Form:
    """Return the form for an order over these keys; raise `ConfigurationError` for one that cannot be."""
    forms = _FORMS[dialect.name]
    if asked is not None:
        if asked not in forms:
            raise ConfigurationError("form", asked, f"one of {', '.join(forms)} on {dialect.name}")
        return asked
    uniform = len({key.sort.descending for key in keys}) == 1
    if "union" in forms and len(keys) > 1 and keys[0].may_tie and not (uniform and forms[0] == "row"):
        # Nested comparisons read all rows with the position's first value: 30,000 of 3,000,000 where it is
        # one of 50, in 110 ms instead of 0.6. Where few rows share it, branches take half as long again.
        return "union"
    return forms[0]


class Forms:
    """Predicates over an order's keys and the binds that hold a position's values."""

    __slots__ = ("_binds", "_form", "_keys")

    def __init__(self, keys: Sequence[SqlKey], binds: Sequence[BindParameter[Any]], form: Form) -> None:
        self._keys = keys
        self._binds = binds
        self._form: Form = form

    def branches(
        self, found: Sequence[Range], nulls: Sequence[bool]
    ) -> list[tuple[ColumnElement[bool], int]]:
        """Return (predicate, number of leading keys it fixes) for each branch of the query, in order.

        `nulls` says which of the position's values are NULL. One branch is a plain WHERE.
        """
        if not found:
            return [(false(), 0)]
        if self._form == "or":
            return [(self._either(found, nulls), 0)]
        meets_null = any(one.test in {"null", "not_null"} or any(nulls[: one.equal]) for one in found)
        if self._form == "union" or len(found) == 1 or meets_null:
            # PostgreSQL knows that `a = x` makes ORDER BY a, b the same as ORDER BY b; not so for IS NULL.
            first_null = list(nulls).index(True) if any(nulls) else len(nulls)
            return [(self._one(one, nulls), min(one.equal, first_null)) for one in found]
        if self._form == "row" and len({key.sort.descending for key in self._keys}) == 1:
            return [(self._row_value(found[0]), 0)]
        return [(self._nested(found), 0)]

    def _either(self, found: Sequence[Range], nulls: Sequence[bool]) -> ColumnElement[bool]:
        parts = [self._one(one, nulls) for one in found]
        place = list(nulls).index(True) if any(nulls) else len(nulls)
        if all(one.equal > place for one in found):
            # MariaDB looks `a IS NULL AND b < y` up and sorts what it found (7,500 rows read); beside
            # `a < NULL`, which no row fulfils, it reads a range in order (21).
            same = [key.element == bind for key, bind in zip(self._keys[:place], self._binds, strict=False)]
            parts.append(and_(*same, self._keys[place].element < self._binds[place]))
        return or_(*parts)

    def _one(self, one: Range, nulls: Sequence[bool]) -> ColumnElement[bool]:
        same = [
            key.element.is_(None) if null else key.element == bind
            for key, bind, null in zip(self._keys[: one.equal], self._binds, nulls, strict=False)
        ]
        return and_(*same, self._test(one))

    def _test(self, one: Range) -> ColumnElement[bool]:
        element, bind = self._keys[one.equal].element, self._binds[one.equal]
        match one.test:
            case "null":
                return element.is_(None)
            case "not_null":
                return element.is_not(None)
            case "gt":
                return element > bind
            case "ge":
                return element >= bind
            case "lt":
                return element < bind
            case "le":
                return element <= bind

    def _row_value(self, longest: Range) -> ColumnElement[bool]:
        row: Any = tuple_(*[key.element for key in self._keys])
        values = tuple_(*self._binds)
        match longest.test:
            case "gt":
                return row > values  # type: ignore[no-any-return]
            case "ge":
                return row >= values  # type: ignore[no-any-return]
            case "lt":
                return row < values  # type: ignore[no-any-return]
            case _:
                return row <= values  # type: ignore[no-any-return]

    def _nested(self, found: Sequence[Range]) -> ColumnElement[bool]:
        # a <= x AND (a < x OR (b >= y AND (b > y OR c < z))): the first comparison bounds the index scan.
        predicate = self._test(found[0])
        for one in found[1:]:
            element, bind = self._keys[one.equal].element, self._binds[one.equal]
            outer = element >= bind if one.test == "gt" else element <= bind
            predicate = and_(outer, or_(self._test(one), predicate))
        return predicate


def order_by(
    pairs: Iterable[tuple[SortKey, ColumnElement[Any]]], *, backward: bool, dialect: Dialect
) -> list[ColumnElement[Any]]:
    """Return the ORDER BY list; NULLS FIRST or LAST only where it says something."""
    clauses: list[ColumnElement[Any]] = []
    for key, element in pairs:
        descending = key.descending != backward
        nulls_first = key.nulls_first != backward
        clause: Any = element.desc() if descending else element.asc()
        if key.nullable and nulls_first != (descending == NULLS_LARGEST[dialect.name]):
            if dialect.name in MYSQL:
                is_null: Any = element.is_(None)
                clauses.append(is_null.desc() if nulls_first else is_null)
            else:
                clause = clause.nulls_first() if nulls_first else clause.nulls_last()
        clauses.append(clause)
    return clauses
