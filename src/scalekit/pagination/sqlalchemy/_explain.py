"""EXPLAIN as a statement, whatever it explains."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalekit.pagination.sqlalchemy._shape import Statement


class Explain(Executable, ClauseElement):
    """`EXPLAIN`, with options that say `how`, of a statement whose values are bound as ever."""

    inherit_cache = False  # it is rare, and its plan is what is wanted anew

    def __init__(self, statement: Statement, how: str) -> None:
        self.statement = statement
        self.how = how

    def rows(self, result: Any) -> int | None:
        """Return the number of rows that the plan found expects; None if it does not say."""
        return _expected(result.scalar_one())


@compiles(Explain)
def _explained(element: Explain, compiler: Any, **keywords: Any) -> str:
    explained = compiler.process(element.statement, **keywords)
    # The answer has the columns of a plan: none of the statement's, and none of their types.
    compiler._result_columns.clear()  # noqa: SLF001
    return f"EXPLAIN {element.how} {explained}"


ESTIMATES = {"postgresql": "(FORMAT JSON)", "mysql": "FORMAT=JSON", "mariadb": "FORMAT=JSON"}
"""How each database is asked for its plan as data; SQLite does not estimate."""


def _expected(plan: Any) -> int | None:
    found: Any = json.loads(plan) if isinstance(plan, (str, bytes)) else plan
    if not isinstance(found, dict):  # PostgreSQL
        return int(found[0]["Plan"]["Plan Rows"])
    return _joined(cast("Any", found).get("query_block", {}))


def _joined(block: object) -> int | None:
    """Return the product of what the tables of a join contribute, each after its conditions."""
    tables = list(_tables(block))
    if not tables or any("rows" not in table and "rows_produced_per_join" not in table for table in tables):
        return None
    if "rows_produced_per_join" in tables[-1]:  # MySQL
        return int(tables[-1]["rows_produced_per_join"])
    product = 1.0
    for table in tables:
        product *= table["rows"] * table.get("filtered", 100) / 100
    return int(product)


def _tables(block: Any) -> Iterator[dict[str, Any]]:
    parts: Any = ()
    if block.__class__ is list:
        parts = enumerate(block)
    elif block.__class__ is dict:
        parts = block.items()
    for name, part in parts:
        if name == "table":
            yield part
        elif "subqueries" not in str(name):
            yield from _tables(part)
