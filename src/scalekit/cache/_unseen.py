"""Failures that no caller sees, told to the log."""

from __future__ import annotations

import math

_BETWEEN = 1.0


class Unseen:
    """Loads of one cache that failed while all callers were served: behind their backs, or with a reserve.

    They go to the logger `scalekit.cache` at level WARNING, once a second at most, lest the log be flooded.
    """

    __slots__ = ("_next", "_untold")

    def __init__(self) -> None:
        self._next = -math.inf
        self._untold = 0

    def tell(self, key: str, error: Exception, now: float) -> None:
        """Log that the load of `key` failed with `error`, unless one was logged within the last second."""
        # No lock, which a finaliser that comes in between or the child of a fork would find held for ever:
        # at worst two lines are written for one. A clock that was set back must not silence the log until it
        # has caught up.
        if self._next - _BETWEEN <= now < self._next:
            self._untold += 1
            return
        untold, self._untold, self._next = self._untold, 0, now + _BETWEEN
        import logging  # noqa: PLC0415  # costs import time that only a failure should pay

        logging.getLogger("scalekit.cache").warning(
            "a load of %s failed, and callers are served what was there%s",
            key,
            f" ({untold} more since the last warning)" if untold else "",
            exc_info=error,
        )
