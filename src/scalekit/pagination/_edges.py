"""The cursors of a page's single items: made when they are asked for, or kept where a page travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from scalekit.pagination._cursor import Coder
    from scalekit.pagination._window import Rows, Window

KeptEdges: TypeAlias = "list[tuple[str, str]]"
"""For each item the cursor that leads forward from it, and the one that leads backward: plain data."""


class LazyEdges(Protocol):
    """Makes the cursor of the item at `index`, of a page that still has `count` items."""

    def __call__(self, count: int, index: int, /, *, before: bool) -> str: ...


def encoded(rows: Rows[Any], read: Window, coder: Coder, count: int, index: int, *, before: bool) -> str:
    """Return the cursor of item `index` of the page that `rows`, found in the window `read`, made."""
    found = min(len(rows.items), read.limit - 1)
    _same(found, count)
    # Rows come in reading order, items in the list's.
    return coder.encode(rows.values(found - 1 - index if read.backward else index), backward=before)


def cursor_of(edges: LazyEdges | KeptEdges | None, count: int, index: int, *, before: bool) -> str:
    """Return the cursor of item `index`, of a page that has `count` items now.

    Raises `IndexError` outside of them, and `ConfigurationError` when the cursors are unknown or not theirs.
    """
    if not 0 <= index < count:
        raise IndexError(f"expected index from 0 to below {count}, the number of items; got {index}")
    if edges is None:
        raise ConfigurationError("page", "one without cursors of its items", "to come from a paginator")
    if isinstance(edges, list):
        _same(len(edges), count)
        return edges[index][before]
    return edges(count, index, before=before)


def kept(edges: LazyEdges | KeptEdges | None, count: int) -> KeptEdges | None:
    """Return the cursors as plain data, or None where they cannot be made (any more).

    What has no cursors of its items is still a page: a changed list, or values that no cursor can hold
    where the page had no neighbours that needed one.
    """
    if edges is None or isinstance(edges, list):
        return edges
    try:
        return [
            (edges(count, index, before=False), edges(count, index, before=True)) for index in range(count)
        ]
    except ConfigurationError:
        return None


def _same(found: int, count: int) -> None:
    if found != count:
        raise ConfigurationError(
            "items", f"{count} of them", f"to be the {found} that were read, for their cursors; use map()"
        )
