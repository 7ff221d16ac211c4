"""How PostgreSQL reads a page: its plan, made as if the table were large, and the rows that it met."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import text

from scalekit.pagination.sqlalchemy._explain import Explain
from scalekit.pagination.sqlalchemy._report import PagePlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Select

    from scalekit.pagination.sqlalchemy._report import Facts

    Node: TypeAlias = dict[str, Any]

# What the planner prefers for a small table, whatever the indexes: all its rows, sorted or hashed.
_SMALL = (
    "enable_seqscan",
    "enable_bitmapscan",
    "enable_incremental_sort",
    "enable_hashjoin",
    "enable_mergejoin",
)
_TIES = 'many share the first key\'s value (SelectSource(…, form="union"))'
_LOOKUPS = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan"}
_ROWLESS = {"Result", "Values Scan", "Function Scan"}


def read(
    connection: Connection, name: str, statement: Select[Any], parameters: dict[str, Any], facts: Facts
) -> PagePlan:
    """Return how the page is read; executes its query, in a savepoint that is rolled back."""
    savepoint = connection.begin_nested()
    try:
        for setting in _SMALL:
            connection.execute(text(f"SET LOCAL {setting} = off"))
        explain = Explain(statement, "(ANALYZE, FORMAT JSON, TIMING OFF, COSTS OFF)")
        found: Any = connection.execute(explain, parameters).scalar_one()
    finally:
        savepoint.rollback()
    [plan] = json.loads(found) if isinstance(found, (str, bytes)) else found
    root: Node = plan["Plan"]
    rows = sum(_rows(node) for node in _nodes(root))
    problems: list[str] = []
    # Of what lies beyond a cursor little may be left: sorting that is as good as any other way.
    if facts.strict or rows > facts.bound:
        problems = [problem for node in _nodes(root) for problem in _problems(node, facts)]
    if rows > facts.bound and not problems:
        problems.append(facts.too_many(rows, _TIES))
    return PagePlan(name, rows, tuple(dict.fromkeys(problems)), json.dumps(root, indent=1))


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _rows(node: Node) -> int:
    if "Relation Name" not in node:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


def _problems(node: Node, facts: Facts) -> Iterator[str]:
    kind = node["Node Type"]
    if kind in {"Sort", "Incremental Sort"} and not all(map(_is_bounded, node["Plans"])):
        keys = ", ".join(node["Sort Key"])
        before = (
            f", of which the index has {', '.join(node['Presorted Key'])}" if "Presorted Key" in node else ""
        )
        yield f"sorts by {keys}{before}"
    elif kind == "Seq Scan":
        yield f"reads all of {node['Relation Name']}"
    elif kind in _LOOKUPS and node.get("Relation Name") == facts.table:
        filtered = {
            each for each in facts.equal if re.search(rf"\b{re.escape(each)}\b", node.get("Filter", ""))
        }
        if filtered:
            yield f"reads rows of every {', '.join(sorted(filtered))}, and keeps those that match"


def _is_bounded(node: Node) -> bool:
    """Return whether what a node gives is few by a LIMIT below it, so that it may be sorted."""
    kind = node["Node Type"]
    if kind == "Limit" or kind in _ROWLESS:
        return True
    children = node.get("Plans", ())
    if kind == "Nested Loop":  # looked up for each of few rows
        outer, inner = children
        return _is_bounded(outer) and (_is_bounded(inner) or _is_lookup(inner))
    return bool(children) and all(map(_is_bounded, children))


def _is_lookup(node: Node) -> bool:
    while node["Node Type"] in {"Memoize", "Materialize"}:
        [node] = node["Plans"]
    return node["Node Type"] in _LOOKUPS and "Index Cond" in node
