"""Whether to wait for a quota, and how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scalekit._time import seconds

if TYPE_CHECKING:
    from scalekit._time import Duration
    from scalekit.ratelimit._decision import Decision


def patience(timeout: Duration | None) -> float:
    """Return the seconds that `acquire` may wait: no bound for None; raises `ConfigurationError`."""
    return math.inf if timeout is None else seconds(timeout, "timeout", allow_zero=True)


def pause(decision: Decision, waited: float, budget: float) -> float:
    """Return how long to sleep before the next try; 0.0 when there is no use in one.

    That is: the cost was admitted, is above a limit, or cannot be admitted within `budget` seconds.
    """
    wait = decision.retry_after
    return wait if wait < math.inf and waited + wait <= budget else 0.0
