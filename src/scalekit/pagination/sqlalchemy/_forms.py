"""The ranges beyond a position as SQL, in the form that each database reads from an index.

Rows read for a page of 20 in the middle of 3,000,000, PostgreSQL 15: row value 21, nested AND 22 to
32, plain OR 1,000,022; NULLs by UNION ALL 22, by OR 1,001,622. SQLite uses only the first column of
a row value, so it gets the nested AND.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, false, or_, tuple_

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.sql.elements import BindParameter, ColumnElement

    from scalekit.pagination._order import SortKey
    from scalekit.pagination._ranges import Range
    from scalekit.pagination.sqlalchemy._keys import SqlKey


class Forms:
    """Predicates over an order's keys and the binds that hold a position's values."""

    __slots__ = ("_binds", "_keys", "_row_values", "_whole")

    def __init__(
        self,
        keys: Sequence[SqlKey],
        binds: Sequence[BindParameter[Any]],
        *,
        row_values: bool,
        whole: bool = False,
    ) -> None:
        self._keys = keys
        self._binds = binds
        self._row_values = row_values
        self._whole = whole  # one branch, always: where no index helps, several compute everything anew

    def branches(
        self, found: Sequence[Range], nulls: Sequence[bool]
    ) -> list[tuple[ColumnElement[bool], int]]:
        """Return (predicate, number of leading keys it fixes) for each branch of the query, in order.

        `nulls` says which of the position's values are NULL. One branch is a plain WHERE.
        """
        if not found:
            return [(false(), 0)]
        if len(found) == 1 or any(
            one.test in {"null", "not_null"} or any(nulls[: one.equal]) for one in found
        ):
            # PostgreSQL knows that `a = x` makes ORDER BY a, b the same as ORDER BY b; not so for IS NULL.
            first_null = list(nulls).index(True) if any(nulls) else len(nulls)
            parts = [(self._one(one, nulls), min(one.equal, first_null)) for one in found]
            return [(or_(*[part for part, _ in parts]), 0)] if self._whole else parts
        if self._row_values and len({key.sort.descending for key in self._keys}) == 1:
            return [(self._row_value(found[0]), 0)]
        return [(self._nested(found), 0)]

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
    pairs: Iterable[tuple[SortKey, ColumnElement[Any]]], *, backward: bool, nulls_largest: bool
) -> list[ColumnElement[Any]]:
    """Return the ORDER BY list; NULLS FIRST or LAST only where it says something.

    `nulls_largest` is how the database sorts them unasked.
    """
    clauses: list[ColumnElement[Any]] = []
    for key, element in pairs:
        descending = key.descending != backward
        nulls_first = key.nulls_first != backward
        clause: Any = element.desc() if descending else element.asc()
        if key.nullable and nulls_first != (descending == nulls_largest):
            clause = clause.nulls_first() if nulls_first else clause.nulls_last()
        clauses.append(clause)
    return clauses
