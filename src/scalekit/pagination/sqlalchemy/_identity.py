"""Which columns tell the rows of a statement apart.

Each table's primary key does for its own rows. Over a join, a table adds nothing where its key is
equated with columns already known, as when an order joins its customer; where it is not, as when a
customer joins their orders, its key is needed too. (Functional dependency: the closure of a set of
columns under the keys, as in any text on normal forms.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import Alias, Column, Table, UniqueConstraint
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
    Grouping,
)
from sqlalchemy.sql.selectable import Join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.sql.selectable import FromClause


class Leaf(NamedTuple):
    """One table of the FROM clause; `nullable` if an outer join can leave it all NULL."""

    clause: FromClause
    nullable: bool

    @property
    def table(self) -> Table | None:
        """The table behind it, or None for a subquery, whose keys are not known."""
        clause: Any = self.clause.element if isinstance(self.clause, Alias) else self.clause
        return cast("Table", clause) if isinstance(clause, Table) else None

    def holds(self, column: Any) -> bool:
        """Return whether `column` is one of this leaf's own."""
        return isinstance(column, ColumnElement) and self.clause.c.contains_column(cast("Any", column))

    def keys(self, *, strict: bool) -> Iterator[list[ColumnElement[Any]]]:
        """Yield its unique keys, the primary key first; `strict` leaves out those that admit NULLs."""
        table = self.table
        if table is None:
            return
        sets: list[Iterable[Any]] = [table.primary_key.columns]
        sets += [one.columns for one in table.constraints if isinstance(one, UniqueConstraint)]
        # An index with options may be partial (WHERE), so it proves nothing about all rows.
        sets += [one.expressions for one in table.indexes if one.unique and not one.dialect_kwargs]
        for columns in sets:
            key = list(columns)
            if key and all(isinstance(one, Column) and not (strict and one.nullable) for one in key):
                yield [self.clause.c[one.key] for one in key]


class _Equality(NamedTuple):
    column: Any
    other: Any
    inside: frozenset[int] | None  # an outer join's ON says nothing about tables outside its right side


class Froms:
    """The FROM clause as leaves, with the equalities that hold between their columns."""

    __slots__ = ("_equalities", "leaves")

    def __init__(self, froms: Sequence[FromClause], whereclause: ColumnElement[Any] | None) -> None:
        self.leaves: list[Leaf] = []
        self._equalities: list[_Equality] = []
        for clause in froms:
            self._walk(clause, nullable=False)
        self._note(whereclause, None)

    def _walk(self, clause: FromClause, *, nullable: bool) -> None:
        if not isinstance(clause, Join):
            self.leaves.append(Leaf(clause, nullable))
            return
        self._walk(clause.left, nullable=nullable or clause.full)
        first = len(self.leaves)
        self._walk(clause.right, nullable=nullable or clause.isouter or clause.full)
        if not clause.full:  # either side may be NULL there: its ON decides nothing
            right = range(first, len(self.leaves))
            self._note(clause.onclause, frozenset(right) if clause.isouter else None)

    def _note(self, condition: Any, inside: frozenset[int] | None) -> None:
        if isinstance(condition, Grouping):
            self._note(cast("Any", condition).element, inside)
        elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
            for part in condition.clauses:
                self._note(part, inside)
        elif isinstance(condition, BinaryExpression) and condition.operator is operators.eq:
            self._equalities.append(_Equality(condition.left, condition.right, inside))
            self._equalities.append(_Equality(condition.right, condition.left, inside))

    def leaf_of(self, column: object) -> int | None:
        """Return the index of the leaf that `column` belongs to, or None."""
        return next((index for index, leaf in enumerate(self.leaves) if leaf.holds(column)), None)

    def shown(self, column: Any) -> ColumnElement[Any]:
        """Return `column` as a subquery shows it that is read in its table's place, or itself."""
        found = [leaf.clause.corresponding_column(column) for leaf in self.leaves if leaf.table is None]
        outer = [each for each in found if each is not None]
        return outer[0] if len(outer) == 1 else column

    def nullable(self, column: ColumnElement[Any]) -> bool:
        """Return whether `column` may be NULL; of an expression it is not known, so it may."""
        index = self.leaf_of(column)
        if index is None or self.leaves[index].table is None:
            return True  # through a subquery, a NOT NULL column may have met an outer join
        return self.leaves[index].nullable or not isinstance(column, Column) or column.nullable is not False

    @property
    def known(self) -> bool:
        """Whether every leaf has a unique key, so that the rows' identity can be known."""
        return all(next(leaf.keys(strict=True), None) is not None for leaf in self.leaves)

    def undetermined(self, columns: Sequence[Any]) -> list[Leaf]:
        """Return the leaves of which more than one row may go with the same values of `columns`."""
        open_leaves = dict(enumerate(self.leaves))
        fixed = [column for column in columns if self.leaf_of(column) is not None]
        changed = True
        while changed:
            changed = False
            for index, leaf in list(open_leaves.items()):
                pinned = [
                    equality.column
                    for equality in self._equalities
                    if (equality.inside is None or index in equality.inside)
                    and self._is_fixed(equality.other, open_leaves)
                ]
                own = _Columns([column for column in [*fixed, *pinned] if leaf.holds(column)])
                if any(all(column in own for column in key) for key in leaf.keys(strict=True)):
                    del open_leaves[index]
                    changed = True
        return list(open_leaves.values())

    def _is_fixed(self, other: object, open_leaves: dict[int, Leaf]) -> bool:
        if isinstance(other, BindParameter):
            return True
        leaf = self.leaf_of(other)
        return leaf is not None and leaf not in open_leaves

    def identity(self, columns: Sequence[Any]) -> list[ColumnElement[Any]]:
        """Return the keys to add to `columns` so that no two rows are equal in all of them."""
        added: list[ColumnElement[Any]] = []
        while rest := self.undetermined([*columns, *added]):
            have = _Columns([*columns, *added])
            key = next(rest[0].keys(strict=True))
            added += [column for column in key if column not in have]
        return added


class _Columns:
    """A set of columns; by hash, since `==` on columns makes SQL (annotated copies hash alike)."""

    __slots__ = ("_hashes",)

    def __init__(self, columns: Iterable[Any]) -> None:
        self._hashes = {hash(column) for column in columns}

    def __contains__(self, column: object) -> bool:
        return hash(column) in self._hashes
