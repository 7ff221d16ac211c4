"""How rows are read: order values at the end of each row where they were not selected, items without them."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

from scalekit.pagination._window import Rows
from scalekit.pagination.sqlalchemy._shape import described, element_of, entity_of, loads_joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Result, Select
    from sqlalchemy.sql.elements import ColumnElement


class Reader:
    """Adds what a statement must select besides, and takes it off the rows again.

    Order values are never read from an entity's attributes: those may be stale in the session,
    changed by the application, or deferred (which would send another query).
    """

    __slots__ = ("_hidden", "_scalar", "_strategy", "_unique", "_values")

    def __init__(self, statement: Select[Any], elements: Sequence[ColumnElement[Any]]) -> None:
        selected = [expression for _, expression in described(statement)]
        entities = [entity for one in selected if (entity := entity_of(one)) is not None]
        places = {hash(element_of(one)): at for at, one in enumerate(selected) if entity_of(one) is None}
        hidden = [element for element in elements if hash(element) not in places]
        for at, element in enumerate(hidden):
            places[hash(element)] = at - len(hidden)
        # A label lets the ORM find an expression again; a plain column is read once for entity and key.
        self._hidden = [
            element if isinstance(element, Column) else element.label(f"_scalekit_h{at}")
            for at, element in enumerate(hidden)
        ]
        self._scalar = len(selected) == 1
        self._values = _getter([places[hash(element)] for element in elements])
        # Joined eager loading repeats a row for each related one; a total order tells its rows apart.
        self._unique = loads_joined(statement, entities)
        self._strategy = self._values if elements else None

    def prepared(self, statement: Select[Any]) -> Select[Any]:
        """Return the statement with the hidden columns."""
        return statement.add_columns(*self._hidden) if self._hidden else statement

    def rows(self, result: Result[Any]) -> Rows[Any]:
        """Return the rows found, as the user selected them, with the order's values at hand."""
        rows = (result.unique(self._strategy) if self._unique else result).all()
        values = self._values

        def values_at(index: int) -> tuple[Any, ...]:
            return values(rows[index])  # type: ignore[no-any-return]

        return Rows(self._items(result, rows), values_at)

    def _items(self, result: Result[Any], rows: Sequence[Any]) -> Sequence[Any]:
        if self._scalar:
            return [row[0] for row in rows]
        if not self._hidden:
            return rows
        width = -len(self._hidden)
        metadata = SimpleResultMetaData(list(result.keys())[:width])
        cut: Result[Any] = IteratorResult(metadata, iter([tuple(row)[:width] for row in rows]))
        return cut.all()


def plain_rows(result: Result[Any]) -> Sequence[Any]:
    """Return the rows of a statement that selects columns: one column as scalars."""
    return result.scalars().all() if len(result.keys()) == 1 else result.all()


def _getter(places: Sequence[int]) -> Any:
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)  # pyright: ignore[reportUnknownLambdaType,reportUnknownVariableType]
    return itemgetter(*places) if places else None
