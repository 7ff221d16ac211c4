"""From what a storage of limits tells to a verdict. Times are seconds from now.

Storages tell time coarsely: Redis gives the end of a fixed window in whole seconds, Memcached drops what
expired by a clock that ticks once a second. A wait that is told may thus be too short by that much; who
asks again at its end is told another one, and none is so short that asking again would spin.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._quota import NEVER, Verdict

if TYPE_CHECKING:
    from scalekit.ratelimit.limits._terms import Asked

LEAST_WAIT = 10_000  # microseconds


def of_fixed(asked: Asked, used: int, ends: float, *, admitted: bool | None = None) -> Verdict:
    """Return the verdict on a fixed window with `used` units that ends in `ends`.

    `admitted` is None for a question.
    """
    allowed = used + asked.cost <= asked.units if admitted is None else admitted
    return _verdict(asked, used, allowed=allowed, wait=ends, whole=ends)


def of_moving(asked: Asked, used: int, expires: float, *, admitted: bool | None = None) -> Verdict:
    """Return the verdict on a moving window with `used` units, of which the oldest expires in `expires`.

    Storages tell no other's time. So a wait for several units is one for the first of them, and until
    the newest has expired it is said to take a whole window.
    """
    allowed = used + asked.cost <= asked.units if admitted is None else admitted
    alone = used == 1 and not admitted
    return _verdict(asked, used, allowed=allowed, wait=expires, whole=expires if alone else asked.window)


def of_counter(
    asked: Asked, counted: tuple[int, float, int, float], *, admitted: bool | None = None
) -> Verdict:
    """Return the verdict on the counts of the window before and the current one, and when each expires.

    The current one expires a window after its end, for until then it is the one before.
    """
    before, before_expires, current, current_expires = counted
    units, window, cost = asked.units, asked.window, asked.cost
    used = floor(before * before_expires / window) + current
    allowed = used + cost <= units if admitted is None else admitted
    # What counts of the one before is rounded down, so that a bit less than one unit more is room as well.
    room = units - cost + 1
    if current >= room > 0:
        wait = current_expires - min(window, room * window / current)
    else:
        wait = before_expires - (room - current) * window / before if before else 0
    return _verdict(
        asked, used, allowed=allowed, wait=wait, whole=current_expires if current else before_expires
    )


def _verdict(asked: Asked, used: int, *, allowed: bool, wait: float, whole: float) -> Verdict:
    if allowed:
        retry = 0
    elif asked.cost > asked.units:
        retry = NEVER
    else:
        retry = max(LEAST_WAIT, ceil(wait * MICROSECONDS) + 1)  # at that very instant it still counts
    reset = min(max(0, ceil(whole * MICROSECONDS)), 2 * asked.window * MICROSECONDS) if used else 0
    return Verdict(allowed, (retry,), (max(0, asked.units - used),), (reset,))
