"""A clock that moves only when a test says so."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from scalekit._time import seconds

if TYPE_CHECKING:
    from scalekit._time import Duration

_NANOSECONDS = 1_000_000_000


class ManualClock:
    """A clock for tests: `clock()` reads it, `clock.advance("15m")` moves it.

    Time is kept in whole nanoseconds, so a thousand steps of 0.1 s are exactly 100 s. Safe to share
    between threads. It starts at `start`, a duration after its origin: away from zero, so that a
    mistaken `if expires:` shows.
    """

    __slots__ = ("_lock", "_nanoseconds")

    def __init__(self, *, start: Duration = 1_000_000.0) -> None:
        self._lock = threading.Lock()
        self._nanoseconds = _nanoseconds(start, "start")

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._nanoseconds / _NANOSECONDS

    def advance(self, duration: Duration) -> None:
        """Move the clock forward by `duration`; it cannot go back, as no monotonic clock does."""
        step = _nanoseconds(duration, "duration")
        with self._lock:
            self._nanoseconds += step


def _nanoseconds(duration: Duration, parameter: str) -> int:
    # Whole seconds apart: a float of today's nanoseconds since 1970 is exact to a quarter microsecond.
    fraction, whole = math.modf(seconds(duration, parameter, allow_zero=True))
    return int(whole) * _NANOSECONDS + round(fraction * _NANOSECONDS)
