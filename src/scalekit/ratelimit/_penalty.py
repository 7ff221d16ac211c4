"""Penalties: who keeps violating a limit is banned, longer each time.

This file does not know: clocks, floats. Times are integer microseconds.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from scalekit._time import seconds
from scalekit.errors import ConfigurationError
from scalekit.ratelimit._fallback import StandIn
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._quota import Uncounted

if TYPE_CHECKING:
    from scalekit._time import Duration
    from scalekit.ratelimit._quota import Quota, Verdict

_MOST = 65_536  # keys; 20 MB if all of them violate, and more with an `after` of more than ten
_SAMPLE = 8


class Penalty:
    """A ban for a key that was denied `after` times (default 3) `within` a time (default "1h").

    The ban lasts `ban` (default "15m") and is the next time `factor` times as long (default 2; 1 for always
    the same), up to `max_ban` (default "1d"). Hits during a ban are denied, ask no store and do not make it
    longer. Once a key was not denied for `within` after the end of its ban, it begins anew.

    Raises `ConfigurationError` unless `after` is an integer >= 1, `factor` a number >= 1 and `max_ban` no
    shorter than `ban`.
    """

    __slots__ = ("after", "ban", "factor", "max_ban", "within")

    def __init__(
        self,
        *,
        after: int = 3,
        within: Duration = "1h",
        ban: Duration = "15m",
        factor: float = 2,
        max_ban: Duration = "1d",
    ) -> None:
        if isinstance(after, bool) or not isinstance(after, int) or after < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("after", after, "as an integer >= 1")
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor >= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("factor", factor, "as a number >= 1")
        self.after: int = after
        self.within: float = seconds(within, "within")
        self.ban: float = seconds(ban, "ban")
        self.factor: float = factor
        self.max_ban: float = seconds(max_ban, "max_ban")
        if self.max_ban < self.ban:
            raise ConfigurationError("max_ban", max_ban, f">= ban, {self.ban:g} seconds")

    def __repr__(self) -> str:
        fields = ", ".join(f"{slot}={getattr(self, slot)!r}" for slot in self.__slots__)
        return f"Penalty({fields})"


class Banned(Uncounted):
    """A verdict on a key that is banned."""

    __slots__ = ()


class _Offender:
    """When a key was denied lately, until when it is banned, and how long it would be the next time."""

    __slots__ = ("denials", "next_ban", "until")

    def __init__(self, ban: int) -> None:
        self.denials: list[int] = []
        self.until = 0
        self.next_ban = ban


class Bans:
    """Who was denied, by key, under one `penalty`.

    At most 65,536 keys: a new one takes the place of one, of the eight that were denied longest ago, whose
    ban ends first, if it has any.
    """

    __slots__ = ("_after", "_ban", "_factor", "_lock", "_longest", "_within", "offenders")

    def __init__(self, penalty: Penalty) -> None:
        self._after = penalty.after
        self._within = round(penalty.within * MICROSECONDS)
        self._ban = round(penalty.ban * MICROSECONDS)
        self._longest = round(penalty.max_ban * MICROSECONDS)
        self._factor = penalty.factor
        self.offenders: dict[str, _Offender] = {}
        self._lock = (
            Lock()
        )  # else of two that are denied at once the one may lose the ban that the other brought on

    def verdict(self, key: str, quota: Quota, now: int) -> Verdict | None:
        """Return the verdict on a hit of `key` if it is banned."""
        offender = self.offenders.get(key)
        if offender is None or offender.until <= now:
            return None
        wait = (offender.until - now,) * len(quota.limits)
        return Banned(False, wait, quota.none, wait)

    def judged(self, key: str, quota: Quota, now: int, verdict: Verdict) -> Verdict:
        """Note the verdict on a hit that was denied; return that of the ban, if this has brought one on."""
        # What only a share within the process denies, while the store is away, is no fault of the caller's.
        if not isinstance(verdict, (Uncounted, StandIn)):
            with self._lock:
                self._note(key, now)
        return self.verdict(key, quota, now) or verdict

    def _note(self, key: str, now: int) -> None:
        offender = self.offenders.pop(key, None)
        if offender is None or max([offender.until, *offender.denials[-1:]]) + self._within <= now:
            offender = _Offender(self._ban)
        denials = [at for at in offender.denials if at > now - self._within]
        denials.append(now)
        if len(denials) >= self._after:
            offender.until = now + offender.next_ban
            offender.next_ban = round(min(offender.next_ban * self._factor, self._longest))
            denials.clear()
        offender.denials = denials
        if len(self.offenders) >= _MOST:
            self._drop_one()
        self.offenders[key] = offender

    def forget(self, key: str) -> None:
        """Forget what `key` has done, and lift its ban."""
        with self._lock:
            self.offenders.pop(key, None)

    def _drop_one(self) -> None:
        first = iter(self.offenders.items())
        sample = [next(first) for _ in range(_SAMPLE)]
        del self.offenders[min(sample, key=lambda item: item[1].until)[0]]


def bans(penalty: Penalty | None) -> Bans | None:
    """Return what keeps the bans of `penalty`; raises `ConfigurationError` for what is none."""
    if penalty is not None and not isinstance(penalty, Penalty):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("penalty", penalty, "as a Penalty")
    return None if penalty is None else Bans(penalty)
