"""What a limiter remembers of lately denied keys, to deny them again without asking the store.

This file does not know: clocks, locks, floats. Times are integer microseconds.

It is sound, since under the same limits only time frees a unit (but see `Denials`): a hit of the same cost is
denied until the moment that the store told. (So is one of a larger cost, but it has to wait longer, and
should be told how long.) That moment counts from when the question was sent, by the limiter's own clock, so
that neither the way to the store nor its clock can make it late.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from scalekit._time import seconds
from scalekit.ratelimit._decision import Decision
from scalekit.ratelimit._fallback import StandIn
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._quota import NEVER, Verdict

if TYPE_CHECKING:
    from scalekit._time import Duration
    from scalekit.ratelimit._clocks import Epoch
    from scalekit.ratelimit._quota import Quota

T = TypeVar("T")

_MOST = 8_192  # 2 MB; those that go first were denied longest ago


class Denial:
    """A verdict on `cost` units that was asked for `at` a time, and holds `until` another."""

    __slots__ = ("at", "clocks", "cost", "quota", "until", "verdict")

    def __init__(
        self, at: int, until: int, cost: int, *, quota: Quota, verdict: Verdict, clocks: Epoch
    ) -> None:
        self.at = at
        self.until = until
        self.cost = cost
        self.quota = quota
        self.verdict = verdict
        self.clocks = clocks


class Denials:
    """The denials of one limiter, by key; `kept` is theirs to look at.

    None holds for longer than `longest`: a refund or a reset in another process frees units too. With a
    `longest` of 0 none is kept, and never one that no wait cures or that the store did not give.
    """

    __slots__ = ("_clocks", "_freed", "_longest", "kept")

    def __init__(self, longest: Duration | None, clocks: Epoch, *, off: bool = False) -> None:
        self._longest = 0 if longest is None else round(seconds(longest, "deny_cache") * MICROSECONDS)
        if off:
            self._longest = 0
        self._clocks = clocks
        self.kept: dict[str, Denial] = {}
        self._freed: dict[str, int] = {}

    def add(self, key: str, quota: Quota, cost: int, at: int, verdict: Verdict) -> None:
        """Keep the denial of a hit that was sent `at` that time."""
        retry = verdict.retry
        if not self._longest or NEVER in retry or isinstance(verdict, StandIn):
            return
        until = at + min(max(retry), self._longest)
        denial = Denial(at, until, cost, quota=quota, verdict=verdict, clocks=self._clocks)
        _put(self.kept, key, denial)
        if self._freed.get(key, at - 1) >= at:  # units were freed while this was on its way
            self.forget(key)

    def outdate(self, key: str, now: int) -> None:
        """Note that units of `key` have been freed: no denial holds that was asked for up to `now`."""
        if self._longest:
            _put(self._freed, key, now)  # first: `add` looks after it has put its own
        self.forget(key)

    def forget(self, key: str) -> None:
        """Ask the store about `key` again."""
        self.kept.pop(key, None)


def _put(entries: dict[str, T], key: str, value: T) -> None:
    """Put a value at the end of the line, and take the first away if there are too many."""
    entries.pop(key, None)
    if len(entries) >= _MOST:
        with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
            del entries[next(iter(entries))]
    entries[key] = value


class RememberedDecision(Decision):
    """A denial that was told before.

    What a hit has to fill in is `_denial` and `_at`; the rest is made if somebody asks for it.
    """

    __slots__ = ("_denial",)

    allowed = False
    _denial: Denial

    if not TYPE_CHECKING:

        @property
        def _quota(self) -> Quota:
            return self._denial.quota

        @property
        def _clocks(self) -> Epoch:
            return self._denial.clocks

        @property
        def _verdict(self) -> Verdict:
            age, told = self._at - self._denial.at, self._denial.verdict
            return Verdict(
                False,
                tuple([max(0, wait - age) for wait in told.retry]),
                told.remaining,
                tuple([max(0, wait - age) for wait in told.reset]),
            )
