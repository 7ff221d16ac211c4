"""What passes between a paginator and its source: a `Window` to read, and the `Rows` found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.pagination._order import TotalOrder

T_co = TypeVar("T_co", covariant=True)


class Position(NamedTuple):
    """Where a page begins: the order values of a row, the direction, and whether that row belongs to it."""

    values: tuple[object, ...]
    backward: bool
    inclusive: bool


class Window(NamedTuple):
    """At most `limit` rows of `order`, read from `position` on, or from the end that `backward` names.

    `position` holds the order's values for the row where reading starts and says whether that row
    belongs to the window; None means from the very beginning (from the very end when `backward`).
    """

    order: TotalOrder
    position: Position | None
    backward: bool
    limit: int


class Rows(NamedTuple, Generic[T_co]):
    """What a source found, in reading order (so from last to first for a backward window).

    `values(index)` gives the order's values for the row at that index, as the source's keys define
    them; it is asked for two rows of a page, and for others only when somebody wants their cursors, which
    may be long after the page was read.

    `more` counts in an order that is `forward_only`, and there alone: whether another page follows. It begins
    after `values(len(items) - 1)`, which is asked for even if there are no items.
    """

    items: Sequence[T_co]
    values: Callable[[int], tuple[Any, ...]]
    more: bool = False
