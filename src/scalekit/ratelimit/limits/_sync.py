"""The sync face of the rate limits in a storage of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.ratelimit.limits._steps import backend_error, driver_error, hit, peek, reset
from scalekit.ratelimit.limits._terms import Terms, given_storage

if TYPE_CHECKING:
    from limits.storage import Storage

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.ratelimit.limits._steps import Steps, T


class LimitsRateLimitStore:
    """Keeps what each key consumed in `storage`, any of `limits.storage`, with weaker guarantees.

    "sliding-window" and "sliding-log" are limits' moving window, "sliding-counter" its sliding window
    counter, "fixed-window" its fixed window, which begins with its first hit. Each is served if the
    storage has it; Memcached has no moving window. `ConfigurationError` of the call for all else:
    another algorithm; several limits, which no storage can judge in one step; a window that is not whole
    seconds, or on Memcached above 30 days (15 for "sliding-counter"); a moving window of more than 100,000
    units, each of which is an entry; more than 16 different windows of "sliding-counter"; any refund.

    A hit takes two calls of the storage, or three under "fixed-window"; `peek` one or two; each call is a
    round trip, on Memcached up to three. What is read after a hit may show others' hits too, so
    `remaining` may be too low (never under "fixed-window") and two may be told the same. A moving window
    admits exactly the limit. Under "fixed-window" a hit that races another to the last units may be denied
    and yet count until the window ends. The sliding counter is as atomic as the storage's: one script on
    Redis, but several steps in memory and on Memcached, where a race may admit or deny one too many.

    `retry_after` is exact for one unit, as far as the storage tells time (Redis in whole seconds for a
    fixed window); for several under a moving window it is the wait for the first of them, and a hit
    at its end may be denied again. `reset_after` may be too long, by a window at most.

    Time is the storage's: for most, that of the process that calls. One whose clock is ahead by a window
    is admitted the limit once more. A quota with another window goes on with what was consumed, except
    under "sliding-counter", whose counts begin anew. `reset` clears those of the windows that this store
    was asked about.

    Errors of the storage are `BackendError`, or `BackendTimeout` by the driver's word; whether the cost was
    consumed is then unknown. There is no deadline and no breaker: give the driver its time-outs.
    `ConfigurationError` for anything but a storage, `MissingExtra` without limits.
    """

    __slots__ = ("_storage", "_terms")

    def __init__(self, storage: Storage) -> None:
        self._storage = given_storage(storage)
        self._terms = Terms(storage)

    def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost`, or nothing."""
        return self._run("hit", hit(self._terms.asked(key, quota, cost)))

    def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        return self._run("peek", peek(self._terms.asked(key, quota, cost)))

    def refund(self, _key: str, _quota: Quota, _cost: int, _now: int, /) -> None:
        """Raise `ConfigurationError`: storages of limits take nothing back."""
        self._terms.refuse_refund()

    def reset(self, key: str, /) -> None:
        """Forget what `key` consumed; under "sliding-counter" in windows that this store was asked about."""
        self._run("reset", reset(key, self._terms))

    def _run(self, operation: str, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = step(self._storage)
                except Exception as raised:  # noqa: BLE001  # base_exceptions names not all of them
                    error = driver_error(raised)
                    raise backend_error(self._storage, operation, error) from error
                step = steps.send(answer)
        except StopIteration as ended:
            answered: T = ended.value
            return answered
