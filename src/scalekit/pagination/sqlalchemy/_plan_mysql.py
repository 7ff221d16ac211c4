"""How MariaDB and MySQL read a page: by EXPLAIN, and by the session's counters while the query runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from scalekit.pagination.sqlalchemy._explain import Explain
from scalekit.pagination.sqlalchemy._report import PagePlan

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

    from scalekit.pagination.sqlalchemy._report import Facts

# Seen with a filter and a nullable key: it looks the filter up, and skips what the cursor excludes.
_REF = "the optimiser does not use all of the index (select(…).with_hint(table, 'FORCE INDEX (…)'))"


def read(
    connection: Connection, name: str, statement: Select[Any], parameters: dict[str, Any], facts: Facts
) -> PagePlan:
    """Return how the page is read; executes its query."""
    lines = connection.execute(Explain(statement, ""), parameters).mappings().all()
    problems: list[str] = []
    for line in lines:
        extra = line.get("Extra") or ""
        if "Using filesort" in extra:
            problems.append(f"sorts what it reads from {line['table']}")
        if line["type"] == "ALL":
            problems.append(f"reads all of {line['table']}")
    own = _reads(connection)
    counting = _reads(connection) - own  # what asking costs
    connection.execute(statement, parameters).all()
    rows = _reads(connection) - own - 2 * counting
    if not problems and rows > facts.bound:
        problems.append(facts.too_many(rows, _REF))
    if not facts.strict and rows <= facts.bound:
        problems = []  # of what lies beyond a cursor little may be left
    plan = "\n".join(str(dict(line)) for line in lines)
    return PagePlan(name, rows, tuple(dict.fromkeys(problems)), plan)


def _reads(connection: Connection) -> int:
    found = connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(row[1]) for row in found)
