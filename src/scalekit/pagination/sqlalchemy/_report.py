"""What was found out about a page's index."""

from __future__ import annotations

from typing import NamedTuple


class PagePlan(NamedTuple):
    """How the database reads one page.

    `name` says which ("first", "middle", "backward", "late", "last"); `rows_read` is how many rows or index
    entries it looked at, None where it does not tell (SQLite); `plan` is its own text.
    """

    name: str
    rows_read: int | None
    problems: tuple[str, ...]
    plan: str


class IndexReport(NamedTuple):
    """Whether every page is read from an index: `ok`, or the `problems` and the index to add.

    `create_index` is None when all is well, and where no single index can serve the order.
    """

    ok: bool
    problems: tuple[str, ...]
    create_index: str | None
    pages: tuple[PagePlan, ...]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.ok:
            return "every page is read from an index"
        lines = [*self.problems, *([f"{self.create_index};"] if self.create_index else [])]
        return "\n".join(lines)


class Facts(NamedTuple):
    """What the plans are judged by."""

    asked: int
    """Rows that the page asks for, the one that tells whether a next page follows included."""
    table: str
    """The table that the order's first key is of, as the plans call it; empty if it is of none."""
    equal: frozenset[str]
    """Its columns that the statement compares with one value."""
    strict: bool
    """Whether the plan must be right in itself, at an end of the list. Behind a cursor what counts is how
    many rows were read: a small rest is sorted as well as it is looked up."""

    @property
    def bound(self) -> int:
        """How many rows a page may read: each of at most three branches its own, and some at their ends."""
        return 3 * self.asked + 4

    def too_many(self, rows: int, remedy: str) -> str:
        """Return the problem of an order that has its index, and reads too much of it."""
        return f"reads {rows:,} rows for {self.asked}: {remedy}"
