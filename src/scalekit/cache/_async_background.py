"""Work behind the callers' backs, as `_background`, in tasks of the running event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from scalekit.cache._flight import loading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
    from typing import Any

Work: TypeAlias = "Callable[[], Coroutine[Any, Any, object]]"

_MOST_TASKS = 64
"""Reloads at once; what would be one more waits for the next stale read, which asks again."""
_GLANCE = 0.001
"""Seconds from look to look of who waits for the end."""


class AsyncBackground:
    """What runs behind the back of one `AsyncCache`."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        # Held here: a loop refers to its tasks weakly.
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Work) -> None:
        """Run `work`, unless work of that name or too much else is running. It reports its own errors."""
        if len(self._running) >= _MOST_TASKS:
            self._running = {name: task for name, task in self._running.items() if not _is_over(task)}
        if self._is_vacant(name) and len(self._running) < _MOST_TASKS:
            self._begin(name, work, needed=lambda: False)

    def keep(self, name: str, work: Work, *, needed: Callable[[], bool]) -> None:
        """Run `work`, and again as long as it is `needed`, unless work of that name is running."""
        if self._is_vacant(name):
            self._begin(name, work, needed=needed)

    def _is_vacant(self, name: str) -> bool:
        running = self._running.get(name)
        return running is None or running.done() or running.get_loop() is not asyncio.get_running_loop()

    def _begin(self, name: str, work: Work, *, needed: Callable[[], bool]) -> None:
        context = copy_context()
        context.run(loading.set, ())  # nobody's load waits for it, so it may wait for any
        task = asyncio.get_running_loop().create_task(_run(work, needed), context=context)
        self._running[name] = task
        task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._running.get(name) is task:
            del self._running[name]

    async def pause(self, seconds: float) -> None:
        """Wait, in work that goes on for long."""
        await asyncio.sleep(seconds)

    async def join(self, seconds: float) -> bool:
        """Wait until nothing runs, no longer than so many seconds; return whether that is so."""
        until = monotonic() + seconds
        # Tasks of another event loop cannot be awaited here, but looked at.
        while running := not all(map(_is_over, list(self._running.values()))):
            if monotonic() >= until:
                break
            await self.pause(_GLANCE)
        return not running

    @asynccontextmanager
    async def repeating(self, work: Callable[[], Awaitable[bool]], *, every: float) -> AsyncGenerator[None]:
        """Call `work` every so many seconds while the block runs, until it returns False."""

        async def repeat() -> None:
            goes_on = True
            while goes_on:
                await asyncio.sleep(every)
                goes_on = await work()

        task = asyncio.get_running_loop().create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))  # a renewal that comes after the release would take the lease anew


async def _run(work: Work, needed: Callable[[], bool]) -> None:
    goes_on = True
    while goes_on:
        with suppress(Exception):
            await work()
        goes_on = needed()


def _is_over(task: asyncio.Task[None]) -> bool:
    return task.done() or task.get_loop().is_closed()
