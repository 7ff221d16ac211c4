"""What answers in the place of a store that does not.

This file does not know: clocks, locks of its own, floats. Times are integer microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import MICROSECONDS, Limit
from scalekit.ratelimit._quota import NEVER, Quota, Uncounted, Verdict

if TYPE_CHECKING:
    from scalekit.errors import BackendError
    from scalekit.ratelimit.memory import MemoryRateLimitStore

OnError: TypeAlias = Literal["local", "open", "closed", "raise"]
_MODES: tuple[OnError, ...] = get_args(OnError)
_LATER = MICROSECONDS  # a second, after which a link's breaker tries its server again
_REMEMBERED = 1_024  # quotas, and keys


class StandIn(Verdict):
    """A verdict that is not the store's, but of a store of this process, on its share of the quota."""

    __slots__ = ()


class Blind(StandIn, Uncounted):
    """A verdict that is not even that."""

    __slots__ = ()


class Fallback:
    """What a limiter does when its store raises `BackendError`.

    `mode` "local": a store within this process judges, `local`, by a quota of which each of `processes` has
    an equal part, but one unit at least. "open" admits all, "closed" nothing, "raise" raises the error.
    """

    __slots__ = ("_admitted", "_local", "_mode", "_processes", "_shares")

    def __init__(self, mode: OnError, processes: int, local: MemoryRateLimitStore) -> None:
        if mode not in _MODES:
            raise ConfigurationError("on_error", mode, f"as one of {', '.join(_MODES)}")
        if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("expected_processes", processes, "as an integer >= 1")
        self._mode: OnError = mode
        self._processes = processes
        self._local = local
        self._shares: dict[Quota, Quota] = {}
        # By key, units that the store knows nothing of, and when the last of them was admitted.
        self._admitted: dict[str, tuple[int, int]] = {}

    def hit(self, error: BackendError, key: str, quota: Quota, cost: int, now: int) -> StandIn:
        """Return the verdict on a hit that the store answered with `error`."""
        if self._mode != "local":
            verdict = self._blind(error, quota, cost)
        else:
            verdict = _told(self._local.hit(key, self._share(quota), cost, now), quota, cost)
        if verdict.allowed:
            units, _ = self._admitted.pop(key, (0, 0))
            while len(self._admitted) >= _REMEMBERED:
                self._admitted.pop(next(iter(self._admitted), ""), None)
            self._admitted[key] = (units + cost, now)
        return verdict

    def peek(self, error: BackendError, key: str, quota: Quota, cost: int, now: int) -> StandIn:
        """Return what `hit` would answer."""
        if self._mode != "local":
            return self._blind(error, quota, cost)
        return _told(self._local.peek(key, self._share(quota), cost, now), quota, cost)

    def refunded(self, key: str, quota: Quota, cost: int, now: int) -> bool:
        """Take back units that were admitted here, if `cost` of them were within the longest window.

        The store never counted them: had it to give them back, it would admit that many too many.
        """
        units, at = self._admitted.get(key, (0, 0))
        if units < cost or at + quota.longest <= now:
            return False
        self._admitted[key] = (units - cost, at)
        self._local.refund(key, self._share(quota), cost, now)
        return True

    def reset(self, key: str) -> None:
        """Forget what `key` consumed here."""
        self._admitted.pop(key, None)
        self._local.reset(key)

    def excuse(self, error: BackendError) -> None:
        """Raise `error`, if that is what the mode says."""
        if self._mode == "raise":
            raise error

    def _blind(self, error: BackendError, quota: Quota, cost: int) -> StandIn:
        """Return the verdict of a mode that counts nothing."""
        self.excuse(error)
        # What no wait cures is so whether the store answers or not.
        never = tuple([NEVER if cost > units else 0 for units in quota.units])
        if NEVER in never:
            return StandIn(False, never, quota.units, quota.none)
        if self._mode == "open":
            return Blind(True, quota.none, quota.units, quota.none)
        return Blind(False, (_LATER,) * len(quota.limits), quota.none, quota.none)

    def _share(self, quota: Quota) -> Quota:
        """Return this process's part of `quota`."""
        if self._processes == 1:
            return quota
        share = self._shares.get(quota)
        if share is None:
            limits = [
                Limit(max(1, one.limit // self._processes), one.microseconds / MICROSECONDS, name=one.name)
                for one in quota.limits
            ]
            share = Quota(limits, quota.algorithm)
            if len(self._shares) >= _REMEMBERED:  # of plans that a callable makes up
                self._shares.clear()
            self._shares[quota] = share
        return share


def _told(verdict: Verdict, quota: Quota, cost: int) -> StandIn:
    """Return the local store's verdict; a cost above the share alone may be admitted by the store again."""
    retry = verdict.retry
    if NEVER in retry:
        waits = zip(retry, quota.units, strict=True)
        retry = tuple([_LATER if wait == NEVER and cost <= units else wait for wait, units in waits])
    return StandIn(verdict.allowed, retry, verdict.remaining, verdict.reset)
