"""The async face of the rate limits in a storage of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.ratelimit.limits._steps import backend_error, driver_error, hit, peek, reset
from scalekit.ratelimit.limits._terms import Terms, async_given_storage

if TYPE_CHECKING:
    from limits.aio.storage import Storage

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.ratelimit.limits._steps import Steps, T


class AsyncLimitsRateLimitStore:
    """Keeps what each key consumed in `storage`, any of `limits.aio.storage`, with weaker guarantees.

    What it serves, refuses and guarantees, as `LimitsRateLimitStore`; the two may share keys where
    the storages do. Whether it may be used from two event loops in turn is for the storage's driver to
    say. A call that is cancelled may or may not have consumed its cost.

    `ConfigurationError` for anything but an async storage, `MissingExtra` without limits.
    """

    __slots__ = ("_storage", "_terms")

    def __init__(self, storage: Storage) -> None:
        self._storage = async_given_storage(storage)
        self._terms = Terms(storage)

    async def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost`, or nothing."""
        return await self._run("hit", hit(self._terms.asked(key, quota, cost)))

    async def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        return await self._run("peek", peek(self._terms.asked(key, quota, cost)))

    async def refund(self, _key: str, _quota: Quota, _cost: int, _now: int, /) -> None:
        """Raise `ConfigurationError`: storages of limits take nothing back."""
        self._terms.refuse_refund()

    async def reset(self, key: str, /) -> None:
        """Forget what `key` consumed; under "sliding-counter" in windows that this store was asked about."""
        await self._run("reset", reset(key, self._terms))

    async def _run(self, operation: str, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await step(self._storage)
                except Exception as raised:  # noqa: BLE001  # base_exceptions names not all of them
                    error = driver_error(raised)
                    raise backend_error(self._storage, operation, error) from error
                step = steps.send(answer)
        except StopIteration as ended:
            answered: T = ended.value
            return answered
