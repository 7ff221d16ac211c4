"""What a rate limiter reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.events import Event

if TYPE_CHECKING:
    from scalekit.errors import BackendError
    from scalekit.ratelimit._decision import Decision


class RateLimitEvent(Event):
    """A call of a limiter's method.

    `name` is the method: "hit", "acquire", "refund" or "reset". `outcome` is "allowed", "denied" or
    "exempt" for the first two, else "ok", or "exempt" for a refund that took nothing back. `limiter` is
    the limiter's name, `decision` the answer where there is one, and `seconds`, for "acquire", how long
    it waited.

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


def outcome(decision: Decision, *, counted: bool) -> str:
    """Return the word for how a hit ended."""
    if not counted:
        return "exempt"
    return "allowed" if decision.allowed else "denied"
