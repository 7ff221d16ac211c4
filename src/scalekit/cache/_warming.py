"""Loading ahead, several at a time."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from scalekit.cache._judging import excusing
from scalekit.cache._warm import Tally, checked_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.cache._plan import Plan
    from scalekit.cache._read_through import ReadThrough
    from scalekit.cache._warm import OnProgress, WarmCall, WarmReport
    from scalekit.errors import BackendError


class Warming:
    """One warm-up of a cached function."""

    def __init__(self, reads: ReadThrough, plan: Plan, receiver: Sequence[Any]) -> None:
        self._reads = reads
        self._plan = plan
        self._receiver = tuple(receiver)

    def run(self, calls: Iterable[Any], *, concurrency: int, on_progress: OnProgress | None) -> WarmReport:
        """Load what is missing of `calls`; see `CachedFunction.warm`."""
        from concurrent.futures import ThreadPoolExecutor, as_completed  # noqa: PLC0415  # for those who warm

        every = list(checked_calls(calls, concurrency, on_progress, self._plan, self._receiver))
        tally = Tally(len(every), on_progress)
        began = self._reads.clock()
        with ThreadPoolExecutor(concurrency, thread_name_prefix="scalekit-warm") as pool:
            # A context for each: a load that waits for one of these calls must be known to wait for it.
            futures = {pool.submit(copy_context().run, self._outcome, call): call for call in every}
            try:
                for future in as_completed(futures):
                    tally.count(futures[future], *future.result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return tally.report(self._reads.clock() - began)

    def _outcome(self, call: WarmCall) -> tuple[str, Exception | None]:
        """Make one call; return what it came to ("loaded", "present" or "failed"), and why it failed."""
        outcome, why = "present", None
        excused: list[BackendError] = []

        def load() -> Any:
            nonlocal outcome, why
            inner = excusing.set(None)  # what is cached in there is another matter
            try:
                value = call.function()
            except Exception as error:
                outcome, why = "failed", error  # even if a stale value answers for it
                raise
            finally:
                excusing.reset(inner)
            outcome = "loaded"
            return value

        known = excusing.set(excused)
        try:
            self._reads.get(call.slot, load, self._plan.policy, behind=call.function)
        except Exception as error:  # noqa: BLE001  # the report has it; the others go on
            return "failed", error
        finally:
            excusing.reset(known)
        # Loaded for nothing: the store could not take it, and who asks for it next has to load it.
        return ("failed", excused[0]) if outcome == "loaded" and excused else (outcome, why)
