"""Loading ahead, several at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.cache._warm import Tally, checked_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.cache._plan import Plan
    from scalekit.cache._read_through import ReadThrough
    from scalekit.cache._warm import OnProgress, WarmReport


class Warming:
    """One warm-up of a cached function."""

    def __init__(self, reads: ReadThrough, plan: Plan, receiver: Sequence[Any]) -> None:
        self._reads = reads
        self._plan = plan
        self._receiver = tuple(receiver)

    def run(self, calls: Iterable[Any], *, concurrency: int, on_progress: OnProgress | None) -> WarmReport:
        """Load what is missing of `calls`; see `CachedFunction.warm`."""
        from concurrent.futures import ThreadPoolExecutor, as_completed  # noqa: PLC0415  # for those who warm

        bound = partial(self._plan.signature.arguments, *self._receiver)
        every = checked_calls(calls, concurrency, on_progress, bound)
        tally = Tally(len(every), on_progress)
        began = self._reads.clock()
        with ThreadPoolExecutor(concurrency, thread_name_prefix="scalekit-warm") as pool:
            futures = [pool.submit(self._outcome, args, kwargs) for args, kwargs in every]
            try:
                for future in as_completed(futures):
                    tally.count(future.result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return tally.report(self._reads.clock() - began)

    def _outcome(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Make one call and return what it came to: "loaded", "present" or "failed"."""
        args = (*self._receiver, *args)
        slot = self._plan.slot(self._plan.signature.arguments(*args, **kwargs))
        function = partial(self._plan.function, *args, **kwargs)
        outcome = "present"

        def load() -> Any:
            nonlocal outcome
            outcome = "failed"  # even if a stale value answers for it
            value = function()
            outcome = "loaded"
            return value

        try:
            self._reads.get(slot, load, self._plan.policy, behind=function)
        except Exception:  # noqa: BLE001  # told by its event; the others go on
            return "failed"
        return outcome
