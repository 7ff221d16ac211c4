"""The rows beyond a position, as disjoint ranges in order: what every form of a page query says.

With keys k1..kn and a position v1..vn, a row comes after it when its first keys are equal and the
next one is beyond. From the longest common prefix to the shortest, that gives for each key at most
two ranges: the values beyond v, and the NULLs where they follow. Each is one contiguous stretch of
an index on the keys, and together they are the rest of the list, already sorted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.pagination._order import TotalOrder

Test: TypeAlias = 'Literal["gt", "ge", "lt", "le", "null", "not_null"]'


class Range(NamedTuple):
    """Rows whose first `equal` keys are the position's (NULL equals NULL) and whose next passes `test`."""

    equal: int
    test: Test


def ranges(
    order: TotalOrder, values: Sequence[object], *, backward: bool = False, inclusive: bool = False
) -> list[Range]:
    """Return the ranges beyond `values`, in reading order; at most two for each key.

    `backward` reads towards the beginning; `inclusive` counts the position's own row among them.
    """
    found: list[Range] = []
    last = len(order.keys) - 1
    for index in range(last, -1, -1):
        key = order.keys[index]
        descending = key.descending != backward
        nulls_first = key.nulls_first != backward
        own_row = inclusive and index == last
        if values[index] is None:
            if own_row:
                found.append(Range(index, "null"))
            if nulls_first:
                found.append(Range(index, "not_null"))
            continue
        if own_row:
            found.append(Range(index, "le" if descending else "ge"))
        else:
            found.append(Range(index, "lt" if descending else "gt"))
        if key.nullable and not nulls_first:
            found.append(Range(index, "null"))
    return found
