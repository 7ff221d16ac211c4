"""Loading ahead, several at a time, in tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalekit.cache._judging import excusing
from scalekit.cache._warm import Tally, checked_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.cache._async_read_through import AsyncReadThrough
    from scalekit.cache._plan import Plan
    from scalekit.cache._warm import OnProgress, WarmCall, WarmReport
    from scalekit.errors import BackendError

_CHECKED_AT_ONCE = 256
"""Calls, at some microseconds each, before other tasks of the loop have their turn."""


class AsyncWarming:
    """One warm-up of a cached coroutine function."""

    def __init__(self, reads: AsyncReadThrough, plan: Plan, receiver: Sequence[Any]) -> None:
        self._reads = reads
        self._plan = plan
        self._receiver = tuple(receiver)

    async def run(
        self, calls: Iterable[Any], *, concurrency: int, on_progress: OnProgress | None
    ) -> WarmReport:
        """Load what is missing of `calls`; see `CachedFunction.warm`."""
        every: list[WarmCall] = []
        for call in checked_calls(calls, concurrency, on_progress, self._plan, self._receiver):
            every.append(call)
            if len(every) % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        tally = Tally(len(every), on_progress)
        began = self._reads.clock()
        waiting = iter(every)

        async def work() -> None:
            for call in waiting:
                tally.count(call, *await self._outcome(call))

        workers = [asyncio.ensure_future(work()) for _ in range(min(concurrency, len(every)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)  # nothing goes on behind the caller's back
        return tally.report(self._reads.clock() - began)

    async def _outcome(self, call: WarmCall) -> tuple[str, Exception | None]:
        """Make one call; return what it came to ("loaded", "present" or "failed"), and why it failed."""
        outcome, why = "present", None
        excused: list[BackendError] = []

        async def load() -> Any:
            nonlocal outcome, why
            inner = excusing.set(None)  # what is cached in there is another matter
            try:
                value = await call.function()
            except Exception as error:
                outcome, why = "failed", error  # even if a stale value answers for it
                raise
            finally:
                excusing.reset(inner)
            outcome = "loaded"
            return value

        known = excusing.set(excused)
        try:
            await self._reads.get(call.slot, load, self._plan.policy, behind=call.function)
        except Exception as error:  # noqa: BLE001  # the report has it; the others go on
            return "failed", error
        finally:
            excusing.reset(known)
        # Loaded for nothing: the store could not take it, and who asks for it next has to load it.
        return ("failed", excused[0]) if outcome == "loaded" and excused else (outcome, why)
