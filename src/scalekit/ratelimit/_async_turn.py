"""A task's wait for its turn; `_turn.py` is that of a thread."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class AsyncTurn:
    """What wakes a task that waits: `wake` may be called from any thread."""

    __slots__ = ("_event", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the wait."""
        with suppress(RuntimeError):  # its loop is closed, and the task with it
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after that time."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
