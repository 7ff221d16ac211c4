"""The two clocks that a limiter goes by: the windows' own, and the time of day that a client is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from scalekit.ratelimit._fitting import fitting_callables
from scalekit.ratelimit._limit import MICROSECONDS

if TYPE_CHECKING:
    from scalekit._time import Clock


class Clocks:
    """`clock` is what the windows go by, `wall_clock` gives epoch seconds.

    `monotonic`: that `clock` is the default one. A hit then reads `time.monotonic_ns` instead, which
    takes it 80 ns less than a float, its product and the rounding.
    """

    __slots__ = ("_wall_clock", "clock", "monotonic")

    def __init__(self, clock: Clock, wall_clock: Clock) -> None:
        fitting_callables(clock=clock, wall_clock=wall_clock)
        self.clock = clock
        self.monotonic: bool = clock is time.monotonic
        self._wall_clock = wall_clock

    def now(self) -> int:
        """Return the time in microseconds by the windows' clock."""
        return time.monotonic_ns() // 1000 if self.monotonic else round(self.clock() * MICROSECONDS)

    def epoch(self, at: int) -> float:
        """Return the time of day, in epoch seconds, of what was lately `now`."""
        return self._wall_clock() - (self.now() - at) / MICROSECONDS


class Epoch(Protocol):
    """What knows the time of day of a moment."""

    def epoch(self, at: int) -> float:
        """Return it in epoch seconds."""
        ...


class TimeOfDay:
    """For moments that are microseconds of the epoch already."""

    __slots__ = ()

    def epoch(self, at: int) -> float:
        """Return it in epoch seconds."""
        return at / MICROSECONDS
