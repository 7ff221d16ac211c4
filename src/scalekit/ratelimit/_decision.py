# ruff: noqa: SLF001  # decisions are filled in by who makes them
# pyright: reportPrivateUsage=false
"""The answer to a hit: a value, with what a caller, a client and an operator want to know of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._clocks import TimeOfDay
from scalekit.ratelimit._fallback import StandIn
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._penalty import Banned
from scalekit.ratelimit._quota import NEVER, Uncounted

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.ratelimit._clocks import Epoch
    from scalekit.ratelimit._limit import Limit
    from scalekit.ratelimit._quota import Quota, Verdict

HeaderStyle: TypeAlias = Literal["ietf", "x-ratelimit", "both"]
_TYPES = "https://iana.org/assignments/http-problem-types"
_STYLES = ("ietf", "x-ratelimit", "both")


class LimitState(NamedTuple):
    """One limit as a decision left it: units `remaining`, seconds until all of them are back."""

    limit: Limit
    remaining: int
    reset_after: float


class Decision:
    """Whether a cost was admitted, and how things stand.

    `bool(decision)` is `decision.allowed`. The single values speak of the tightest limit: of a denial,
    the one to wait for longest; otherwise the one with the fewest units left (then the longest reset).
    `states` has every limit, in order. A decision is a snapshot; it never changes. It can be pickled.
    """

    __slots__ = ("_at", "_clocks", "_quota", "_verdict", "allowed")

    # No `__init__`, since one in Python takes 90 ns: the limiters fill in what is theirs.
    allowed: bool
    _quota: Quota
    _verdict: Verdict
    _at: int
    _clocks: Epoch

    def __reduce__(self) -> tuple[Callable[..., Decision], tuple[Any, ...]]:
        # The clock of the windows means nothing to another process; the time of day does.
        at = round(self._epoch * MICROSECONDS)
        return _restored, (self.allowed, self._quota, self._verdict, at, TimeOfDay())

    def __bool__(self) -> bool:
        return self.allowed

    def __repr__(self) -> str:
        verb = "allowed" if self.allowed else f"denied for {self.retry_after} s"
        flags = [name for name in ("degraded", "banned", "shadowed") if getattr(self, name)]
        why = f" ({', '.join(flags)})" if flags else " by" if self.violated else ""
        return f"<Decision {verb}{why} {self.limit}: {self.remaining} left, all back in {self.reset_after} s>"

    @property
    def _epoch(self) -> float:
        return self._clocks.epoch(self._at)

    @property
    def _tightest(self) -> int:
        verdict = self._verdict
        waits = [math.inf if wait == NEVER else wait for wait in verdict.retry]
        return min(range(len(waits)), key=lambda i: (-waits[i], verdict.remaining[i], -verdict.reset[i], i))

    @property
    def limit(self) -> Limit:
        """The tightest limit."""
        return self._quota.limits[self._tightest]

    @property
    def remaining(self) -> int:
        """Units left under the tightest limit, after this decision."""
        return self._verdict.remaining[self._tightest]

    @property
    def reset_after(self) -> float:
        """Seconds until the tightest limit is back in full, if nothing more is consumed."""
        return self._verdict.reset[self._tightest] / MICROSECONDS

    @property
    def retry_after(self) -> float:
        """Seconds until the same cost would be admitted, if nobody else consumes.

        0.0 when allowed; `math.inf` when the cost is above a limit.
        """
        if self.allowed:
            return 0.0
        retry = self._verdict.retry
        return math.inf if NEVER in retry else max(retry) / MICROSECONDS

    @property
    def degraded(self) -> bool:
        """Whether the store did not answer, so that this was decided by the limiter's `on_error`."""
        return isinstance(self._verdict, StandIn)

    @property
    def banned(self) -> bool:
        """Whether this was denied for a ban, by the limiter's `penalty`, without a look at the limits."""
        return isinstance(self._verdict, Banned)

    @property
    def shadowed(self) -> bool:
        """Whether this would have been denied, had it not been for the limiter's `shadow=True`."""
        return self.allowed and not self._verdict.allowed

    @property
    def violated(self) -> tuple[Limit, ...]:
        """The limits that did not admit the cost, in order.

        Empty when allowed, and when it was not for a limit (`banned`, or `on_error="closed"`). Of a decision
        that was `shadowed`: those that would not have admitted it.
        """
        if isinstance(self._verdict, Uncounted):
            return ()
        return tuple(
            limit for limit, wait in zip(self._quota.limits, self._verdict.retry, strict=True) if wait
        )

    @property
    def states(self) -> tuple[LimitState, ...]:
        """Every limit with its remaining units and its reset, in the order the limiter was given."""
        verdict = self._verdict
        return tuple(
            LimitState(limit, left, reset / MICROSECONDS)
            for limit, left, reset in zip(self._quota.limits, verdict.remaining, verdict.reset, strict=True)
        )

    def headers(self, style: HeaderStyle = "ietf") -> dict[str, str]:
        """Return the HTTP fields that tell a client how it stands.

        "ietf" (default): `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11,
        every limit under its name; windows that are not whole seconds have no `w`, which the draft
        cannot express. "x-ratelimit": `X-RateLimit-Limit`, `-Remaining` and `-Reset` (epoch seconds) of
        the tightest limit. "both": all of them. A denial that waiting can cure adds `Retry-After`, in
        seconds rounded up. A decision that was made without a look at the quota (`banned`, or `on_error`
        "open" or "closed") tells the policy only. Raises `ConfigurationError` for another style.
        """
        if style not in _STYLES:
            raise ConfigurationError("style", style, "as 'ietf', 'x-ratelimit' or 'both'")
        fields: dict[str, str] = {}
        counted = not isinstance(self._verdict, Uncounted)
        if style != "x-ratelimit":
            fields["RateLimit-Policy"] = ", ".join(_policy_item(limit) for limit in self._quota.limits)
        if style != "x-ratelimit" and counted:
            fields["RateLimit"] = ", ".join(self._state_item(state) for state in self.states)
        if style != "ietf" and counted:
            fields["X-RateLimit-Limit"] = str(self.limit.limit)
            fields["X-RateLimit-Remaining"] = str(self.remaining)
            fields["X-RateLimit-Reset"] = str(math.ceil(self._epoch + self.reset_after))
        if not self.allowed and self.retry_after < math.inf:
            fields["Retry-After"] = str(math.ceil(self.retry_after))
        return fields

    def _state_item(self, state: LimitState) -> str:
        # Draft 11, section 6.4: Retry-After should not come before the end of any `t`. In a sliding
        # window room returns before the whole quota does, so a denial looks no further than its retry.
        window = state.reset_after if self.allowed else min(state.reset_after, self.retry_after)
        return f"{_quoted(state.limit.name)};r={state.remaining};t={math.ceil(window)}"

    def problem(self) -> dict[str, Any]:
        """Return a denial as an RFC 9457 problem document (`application/problem+json`).

        Its status is 429, its type one of draft-ietf-httpapi-ratelimit-headers-11. If nobody knows whether
        the quota is exceeded (`on_error="closed"`), it is 503 and another type. Raises
        `ConfigurationError` when allowed: there is no problem to describe.
        """
        if self.allowed:
            raise ConfigurationError("decision", self, "that is a denial, to describe a problem")
        wait = self.retry_after
        cure = f"retry in {math.ceil(wait)} s" if wait < math.inf else "no wait will help: ask for less"
        if self.banned:
            return {
                "type": f"{_TYPES}#abnormal-usage-detected",
                "title": "Request not satisfied due to detection of abnormal request pattern",
                "status": 429,
                "detail": f"banned for repeated violations; {cure}",
            }
        if isinstance(self._verdict, Uncounted):
            return {
                "type": f"{_TYPES}#temporary-reduced-capacity",
                "title": "Request cannot be satisfied due to temporary server capacity constraints",
                "status": 503,
                "detail": f"quotas cannot be checked now; {cure}",
            }
        names = [limit.name for limit in self.violated]
        return {
            "type": f"{_TYPES}#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "detail": f"{', '.join(names)} exceeded; {cure}",
            "violated-policies": names,
        }


def decided(quota: Quota, verdict: Verdict, at: int, clocks: Epoch) -> Decision:
    """Return the decision that `verdict` means, `at` a moment of which `clocks` know the time of day."""
    return _restored(verdict.allowed, quota, verdict, at, clocks)


def _restored(allowed: bool, quota: Quota, verdict: Verdict, at: int, clocks: Epoch) -> Decision:  # noqa: FBT001
    decision = Decision()
    decision.allowed = allowed
    decision._quota = quota
    decision._verdict = verdict
    decision._at = at
    decision._clocks = clocks
    return decision


def _policy_item(limit: Limit) -> str:
    item = f"{_quoted(limit.name)};q={limit.limit}"
    whole, rest = divmod(limit.microseconds, MICROSECONDS)
    return item if rest else f"{item};w={whole}"


def _quoted(name: str) -> str:
    """Return `name` as a String of RFC 9651 (3.3.3)."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
