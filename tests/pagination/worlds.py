"""What a walk goes through: rows that change, in a database or in a list."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from scalekit.pagination import SequenceSource
from scalekit.pagination.sqlalchemy import SelectSource
from tests.pagination.models import Item

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(0, 2),
            "b": st.integers(0, 2),
            "s": st.none() | st.sampled_from(["", "a", "b"]),
        }
    ),
    max_size=14,
)


class ListWorld:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = [{"id": number * 2, **row} for number, row in enumerate(rows)]

    def source(self) -> Any:
        return SequenceSource(self.rows)

    def seen(self, item: Any) -> dict[str, Any]:
        return item

    def change(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(["nothing", "delete", "insert", "clear"]), label="change")
        if what == "delete" and self.rows:
            self.removed(data.draw(st.sampled_from(self.rows)))
        elif what == "insert":
            [row] = data.draw(ROWS.filter(bool))[:1]
            self.added(
                {"id": max([0, *(each["id"] for each in self.rows)]) // 2 * 2 - 1 + len(self.rows), **row}
            )
        elif what == "clear":
            for row in list(self.rows):
                self.removed(row)

    def removed(self, row: dict[str, Any]) -> None:
        self.rows.remove(row)

    def added(self, row: dict[str, Any]) -> None:
        if all(each["id"] != row["id"] for each in self.rows):
            self.rows.append(row)


class TableWorld(ListWorld):
    """The same rows in the table `items`, read as `statement` selects them."""

    def __init__(self, rows: list[dict[str, Any]], connection: Any, *, statement: Any = None) -> None:
        super().__init__(rows)
        self.connection = connection
        self.statement = select(*Item.__table__.c) if statement is None else statement
        connection.execute(delete(Item))
        if self.rows:
            connection.execute(insert(Item), self.rows)

    def source(self) -> Any:
        return SelectSource(self.connection, self.statement)

    def seen(self, item: Any) -> dict[str, Any]:
        return dict(item._mapping)

    def removed(self, row: dict[str, Any]) -> None:
        super().removed(row)
        self.connection.execute(delete(Item).where(Item.id == row["id"]))

    def added(self, row: dict[str, Any]) -> None:
        before = len(self.rows)
        super().added(row)
        if len(self.rows) > before:
            self.connection.execute(insert(Item), [row])
