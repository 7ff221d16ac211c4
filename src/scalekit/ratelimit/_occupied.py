"""What is said of places: how many there are, and that all are taken."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._decision import decided
from scalekit.ratelimit._limit import MICROSECONDS, Limit
from scalekit.ratelimit._quota import Quota, Verdict

if TYPE_CHECKING:
    from scalekit.ratelimit._clocks import Clocks
    from scalekit.ratelimit._decision import Decision


def checked_places(limit: int) -> int:
    """Return `limit` if it is an integer >= 1; raises `ConfigurationError`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("limit", limit, "as an integer >= 1")
    return limit


def occupied(places: int, lease: float, wait: float, clocks: Clocks) -> Decision:
    """Return the decision on a slot: admitted if there is no `wait`, in seconds, until it is worth to ask."""
    quota = _quota(places, lease)
    later = (round(wait * MICROSECONDS),)
    return decided(quota, Verdict(not wait, later, (0,), later), clocks.now(), clocks)


@lru_cache(maxsize=256)
def _quota(places: int, lease: float) -> Quota:
    return Quota([Limit(places, lease, name="concurrent")])
