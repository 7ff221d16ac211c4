"""From a call of the store to the operands of the script, and from its answer to the time to wait."""

from __future__ import annotations

from typing import Any

from scalekit.ratelimit._limit import MICROSECONDS

_PREFIX = b"sk:cl:"
_PATIENCE = 2 * MICROSECONDS  # ten times as long as anybody waits before it asks again
_STEP, _LONGEST = 0.01, 0.2  # seconds
_SOONEST = 0.001


def operands(operation: str, key: str, holder: str, places: int, lease: int) -> tuple[Any, ...]:
    """Return what follows the script in a command."""
    stored = _PREFIX + key.encode("utf-8", "surrogatepass")
    return (1, stored, operation, holder, places, lease, _PATIENCE)


def pause(rank: int, first_end: int) -> float:
    """Return the seconds until one of that `rank` should ask again: 0.0 if it has a place.

    That is no later than when the first lease ends, in `first_end` microseconds.
    """
    if not rank:
        return 0.0
    return max(_SOONEST, min(rank * _STEP, _LONGEST, first_end / MICROSECONDS))
