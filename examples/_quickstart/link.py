"""The link to a Redis or Valkey: round trips, many calls at once, and a call that hangs."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

from _quickstart.step import seconds
from scalekit.errors import BackendTimeout
from scalekit.redis import AsyncRedisLink, RedisLink

if TYPE_CHECKING:
    from _quickstart.step import Step

CALLS = 5_000


async def at_once(step: Step, url: str) -> None:
    async with AsyncRedisLink.from_url(url, timeout="5s") as link:
        await link.execute("PING")
        start = time.perf_counter()
        replies = await asyncio.gather(*(link.execute("ECHO", number) for number in range(CALLS)))
        rate = CALLS / (time.perf_counter() - start)
    step.show(f"{CALLS:,} async calls", f"{rate:,.0f}", "per second, coalesced", coalesced_per_s=rate)
    step.check("every call gets its own reply", holds=[int(reply) for reply in replies] == list(range(CALLS)))


def link(step: Step, url: str) -> None:
    with RedisLink.from_url(url, timeout="50ms") as link:
        link.execute("PING")
        trip = seconds(lambda: link.execute("PING"), times=201)
        step.show("round trip", f"{trip * 1e6:.0f} us", round_trip_us=trip * 1e6)
        asyncio.run(at_once(step, url))

        start = time.perf_counter()
        try:
            link.execute("BLPOP", f"scalekit-quickstart-{uuid.uuid4().hex}", 2)
        except BackendTimeout:
            timed_out = True
        else:
            timed_out = False
        spent = time.perf_counter() - start
    step.show(
        "a call that hangs", f"{spent * 1e3:.0f} ms", "until BackendTimeout; 50 allowed", hang_ms=spent * 1e3
    )
    step.check("a call that hangs ends at its deadline", holds=timed_out and spent < 1)
