"""How SQLite reads a page, by EXPLAIN QUERY PLAN: a tree of lines, the same however large the table is."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

from scalekit.pagination.sqlalchemy._explain import Explain
from scalekit.pagination.sqlalchemy._report import PagePlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Select

    from scalekit.pagination.sqlalchemy._report import Facts

_READS = re.compile(r"(?P<how>SCAN|SEARCH) (?P<what>\S+)(?: AS \S+)?(?P<rest>.*)")
# sqlite3 keeps prepared statements, and of an EXPLAIN it keeps the plan, even after the index was dropped.
_anew = count()
_SORTS = re.compile(r"USE TEMP B-TREE FOR (?P<what>.*ORDER BY)")


def read(
    connection: Connection, name: str, statement: Select[Any], parameters: dict[str, Any], facts: Facts
) -> PagePlan:
    """Return how the page is read; executes nothing."""
    found = connection.execute(Explain(statement, f"QUERY PLAN /* {next(_anew)} */"), parameters).all()
    levels: dict[int, list[str]] = {}
    for _, parent, _, detail in found:
        levels.setdefault(parent, []).append(detail)
    problems = [problem for lines in levels.values() for problem in _problems(lines, facts)]
    return PagePlan(name, None, tuple(dict.fromkeys(problems)), "\n".join(row[3] for row in found))


def _problems(lines: Sequence[str], facts: Facts) -> Iterator[str]:
    reads = [match for line in lines if (match := _READS.match(line))]
    tables = [match for match in reads if not match["what"].startswith(("(", "anon_"))]
    # Beside a subquery, which has a LIMIT here, tables are looked up by key.
    bounded = len(tables) < len(reads) and all("=?" in match["rest"] for match in tables)
    for line in lines:
        sort = _SORTS.match(line)
        if sort and tables and not bounded:
            yield f"sorts by {sort['what'].removesuffix('ORDER BY').strip() or 'all keys'}".removesuffix(
                " OF"
            )
    if bounded:
        return
    for match in tables:
        if match["how"] == "SCAN" and len(tables) > 1 and match is not tables[0]:
            yield f"reads all of {match['what']} for each row"
        if match["what"] == facts.table:
            equal = set(re.findall(r"(\w+)=\?", match["rest"]))
            if missed := facts.equal - equal:
                yield f"reads rows of every {', '.join(sorted(missed))}, and keeps those that match"
