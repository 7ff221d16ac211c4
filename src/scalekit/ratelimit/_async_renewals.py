"""The tasks that renew leases; `_renewals.py` has a thread for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class AsyncRenewals:
    """Calls each of `renew` every `period` seconds, in a task of its own."""

    __slots__ = ("_period", "_tasks")

    def __init__(self, period: float) -> None:
        self._period = period
        self._tasks: dict[Callable[[], Coroutine[Any, Any, object]], asyncio.Task[None]] = {}

    def add(self, renew: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Call it from now on."""
        self._tasks[renew] = asyncio.get_running_loop().create_task(self._run(renew))

    def discard(self, renew: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Call it no more."""
        task = self._tasks.pop(renew, None)
        if task is not None:
            task.cancel()

    async def _run(self, renew: Callable[[], Coroutine[Any, Any, object]]) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await renew()
            except Exception:
                import logging  # noqa: PLC0415  # costs import time that only a broken store should pay

                logging.getLogger("scalekit.ratelimit").exception("a lease was not renewed")
