"""What an entry is good for at an instant, and the times of a new one.

This file knows no clock and no chance: both are handed in.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, cast

from scalekit.cache._entry import Entry
from scalekit.cache._raised import Raised

if TYPE_CHECKING:
    from scalekit.cache._policy import CachePolicy

_EARLIEST = 20.0
"""XFetch is asked from so many betas and load times before the end: before, it says yes in 2e-9 of reads."""


class Standing(Enum):
    """What to do with an entry that was found."""

    FRESH = "serve it"
    EARLY = "serve it, and reload behind the caller's back, though it is fresh"
    STALE = "serve it, and reload behind the caller's back"
    RESERVE = "reload, and serve it if that fails"
    ENDED = "reload"


SERVED = frozenset({Standing.FRESH, Standing.EARLY, Standing.STALE})


def standing(entry: Entry, policy: CachePolicy, now: float, chance: float) -> Standing:
    """Judge `entry`; `chance` is uniform in (0, 1], and decides on an early refresh (see `CachePolicy`)."""
    left = entry.fresh_until - now
    if left > 0:
        beta = policy.early_refresh
        if beta and left <= -beta * entry.load_seconds * math.log(chance):
            return Standing.EARLY
        return Standing.FRESH
    if -left < cast("float", policy.stale_while_revalidate):
        return Standing.STALE
    # An exception is an answer, but no help when the loader fails.
    if -left < cast("float", policy.stale_if_error) and not isinstance(entry.value, Raised):
        return Standing.RESERVE
    return Standing.ENDED


def lead_of(policy: CachePolicy) -> float:
    """Return how many load times before the end of freshness a wrapper must begin to ask `standing`."""
    return _EARLIEST * policy.early_refresh


def entry_of(value: object, policy: CachePolicy, *, now: float, load_seconds: float, chance: float) -> Entry:
    """Return the entry of a value that was loaded by `now`; `chance`, from 0 to 1, places it in the jitter.

    With a lifetime of 0 it has ended already, and takes the old entry away when it is written.
    """
    life = policy.exception_lifetime if isinstance(value, Raised) else policy.lifetime(value)
    fresh_until = now + life * (1.0 - policy.jitter * chance)
    stale_for = policy.stale_for if life else 0.0
    return Entry(
        value,
        # One object where nothing is served stale: the memory store keeps both.
        expires=fresh_until + stale_for if stale_for else fresh_until,
        fresh_until=fresh_until,
        # Kept for early refreshes alone: it costs an entry in memory 60 bytes. A clock may go back.
        load_seconds=max(0.0, load_seconds) if policy.early_refresh else 0.0,
    )
