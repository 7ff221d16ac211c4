"""What a rate limiter reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.events import Event, guarded
from scalekit.ratelimit._fitting import fitting_callables

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.errors import BackendError
    from scalekit.events import Hook
    from scalekit.ratelimit._decision import Decision


class RateLimitEvent(Event):
    """A call of a limiter's method.

    `name` is the method: "hit", "acquire", "refund" or "reset". `outcome` is "allowed", "denied", "exempt" or
    "shadowed" (allowed for `shadow=True` only) for the first two, else "ok", or "exempt" for a refund that
    took nothing back. `limiter` is the limiter's name, `decision` the answer where there is one, and
    `seconds`, for "acquire", how long it waited.

    `name` "store", `outcome` "error": the store failed with `error`, before that; what became of the call
    its own event tells ("error": a refund or reset was lost), and `decision.degraded`.
    """

    __slots__ = ("cost", "decision", "error", "limiter")

    def __init__(
        self,
        name: str,
        *,
        limiter: str,
        key: str,
        outcome: str = "ok",
        cost: int | None = None,
        decision: Decision | None = None,
        seconds: float | None = None,
        error: BackendError | None = None,
    ) -> None:
        super().__init__("ratelimit", name, outcome=outcome, key=key, seconds=seconds)
        self.limiter: str = limiter
        self.cost: int | None = cost
        self.decision: Decision | None = decision
        self.error: BackendError | None = error


class Reports:
    """Tells a hook what a limiter does."""

    __slots__ = ("_emit", "_limiter")

    def __init__(self, limiter: str, emit: Callable[[Event], None]) -> None:
        self._limiter = limiter
        self._emit = emit

    def decided(
        self,
        name: str,
        key: str,
        cost: int,
        decision: Decision,
        *,
        counted: bool = True,
        seconds: float | None = None,
    ) -> None:
        """Report the end of a hit, or of an acquisition that took `seconds`."""
        ended = "denied" if not decision.allowed else "shadowed" if decision.shadowed else "allowed"
        if not counted:
            ended = "exempt"
        self._emit(
            RateLimitEvent(
                name,
                limiter=self._limiter,
                key=key,
                outcome=ended,
                cost=cost,
                decision=decision,
                seconds=seconds,
            )
        )

    def done(self, name: str, key: str, outcome: str, cost: int | None = None) -> None:
        """Report the end of what has no decision."""
        self._emit(RateLimitEvent(name, limiter=self._limiter, key=key, outcome=outcome, cost=cost))

    def failed(self, key: str, error: BackendError) -> None:
        """Report that the store did not answer."""
        self._emit(RateLimitEvent("store", limiter=self._limiter, key=key, outcome="error", error=error))


def reports(limiter: str, hook: Hook | None) -> Reports | None:
    """Return what reports to `hook`; raises `ConfigurationError` if that is none."""
    if hook is not None:
        fitting_callables(on_event=hook)
    emit = guarded(hook)
    return None if emit is None else Reports(limiter, emit)
