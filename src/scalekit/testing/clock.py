"""A clock that moves only when a test says so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from scalekit._time import seconds

if TYPE_CHECKING:
    from scalekit._time import Duration

_NANOSECONDS = 1_000_000_000


class ManualClock:
    """A clock for tests: `clock()` reads it, `clock.advance("15m")` moves it.

    Time is kept in whole nanoseconds, so a thousand steps of 0.1 s are exactly 100 s. Safe to share
    between threads. It starts at `start` seconds, away from zero so that a mistaken `if expires:`
    shows.
    """

    __slots__ = ("_lock", "_nanoseconds")

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._lock = threading.Lock()
        self._nanoseconds = round(start * _NANOSECONDS)

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._nanoseconds / _NANOSECONDS

    def advance(self, duration: Duration) -> None:
        """Move the clock forward by `duration`; it cannot go back, as no monotonic clock does."""
        step = round(seconds(duration, "duration", allow_zero=True) * _NANOSECONDS)
        with self._lock:
            self._nanoseconds += step
