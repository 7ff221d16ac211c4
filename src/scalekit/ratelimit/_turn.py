"""A thread's wait for its turn; `_async_turn.py` is that of a task."""

from __future__ import annotations

import threading


class Turn:
    """What wakes a thread that waits: `wake` may be called from any thread."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> None:
        """End the wait."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Return when woken, or after that time."""
        self._event.wait(seconds)
        self._event.clear()
