"""A client that asks too often."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from _quickstart.step import seconds
from scalekit.ratelimit import MemoryRateLimitStore, RateLimiter
from scalekit.ratelimit.redis import RedisRateLimitStore

if TYPE_CHECKING:
    from _quickstart.step import Step
    from scalekit.ratelimit import Decision
    from scalekit.redis import RedisLink


def limits(step: Step, link: RedisLink | None) -> None:
    store = RedisRateLimitStore(link) if link else MemoryRateLimitStore()
    limiter = RateLimiter("100/15m", store=store, name=f"quickstart-{uuid4().hex}")
    decisions: list[Decision] = []
    spent = seconds(lambda: decisions.extend(limiter.hit("ip:203.0.113.7") for _ in range(130))) / 130

    admitted = [decision.allowed for decision in decisions]
    step.show("130 hits on 100/15m", f"{sum(admitted)}", "admitted", admitted=sum(admitted))
    step.show("one decision", f"{spent * 1e6:.2f} us", decision_us=spent * 1e6)
    headers = decisions[-1].headers()
    for name, value in headers.items():
        step.show("the last one's headers" if name == next(iter(headers)) else "", "", f"{name}: {value}")
        step.figures[name] = value
    # Without its server a limiter goes on by a count of its own, and says so.
    step.check("every answer is the store's", holds=not any(decision.degraded for decision in decisions))
    step.check("exactly the first 100 are admitted", holds=admitted == [True] * 100 + [False] * 30)
    step.check("a denial says when to come back", holds=0 < decisions[-1].retry_after <= 15 * 60)
    step.check("another client is served", holds=limiter.hit("ip:203.0.113.8"))
    for key in ("ip:203.0.113.7", "ip:203.0.113.8"):
        limiter.reset(key)
