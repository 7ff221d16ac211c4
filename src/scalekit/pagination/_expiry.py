"""When a cursor was made, and whether that is too long ago."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from scalekit._time import seconds
from scalekit.errors import ConfigurationError, InvalidCursor

if TYPE_CHECKING:
    from scalekit._time import Clock, Duration

STAMP = 5
"""Bytes of a time: whole seconds of the epoch. Four would end in 2106."""

_SKEW = 60.0
_END = 256.0**STAMP - 1


class Expiry:
    """How long cursors live, by a clock that tells seconds of the epoch and that all workers share.

    A time is rounded up to the second, so that a cursor lives for all of its time, and up to a second
    longer. One from up to a minute ahead is let pass: the clocks of two workers are never quite the same.
    """

    __slots__ = ("_seconds", "_wall_clock")

    def __init__(self, expires_in: Duration, wall_clock: Clock) -> None:
        self._seconds = seconds(expires_in, "expires_in")
        self._wall_clock = wall_clock

    def stamp(self) -> bytes:
        """Return the time now, as a cursor carries it."""
        return ceil(self._now()).to_bytes(STAMP, "big")

    def check(self, stamp: bytes) -> None:
        """Raise `InvalidCursor` for a time that is too long ago, or ahead by more than clocks differ."""
        made = int.from_bytes(stamp, "big")
        now = self._now()
        if now - made >= self._seconds:
            raise InvalidCursor("expired")
        if made - now > _SKEW:
            raise InvalidCursor("made in the future")

    def _now(self) -> float:
        now = self._wall_clock()
        if 0 <= now <= _END:
            return now
        # Not a number, say, compares with nothing: nothing would expire.
        raise ConfigurationError("wall_clock", now, "to give seconds of the epoch")


def expiry_of(expires_in: Duration | None, wall_clock: Clock) -> Expiry | None:
    """Return the expiry that a paginator's arguments mean; `ConfigurationError` for what means none."""
    if not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "to be a function that gives seconds of the epoch")
    return None if expires_in is None else Expiry(expires_in, wall_clock)
