"""The thread that renews leases; `_async_renewals.py` has a task for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Renewals:
    """Calls each of `renew` every `period` seconds, in one thread, which ends when there is none any more."""

    __slots__ = ("_changed", "_due", "_period", "_running")

    def __init__(self, period: float) -> None:
        self._period = period
        self._changed = threading.Condition()
        self._due: dict[Callable[[], object], float] = {}
        self._running = False

    def add(self, renew: Callable[[], object]) -> None:
        """Call it from now on."""
        with self._changed:
            self._due[renew] = time.monotonic() + self._period
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="scalekit-leases", daemon=True).start()

    def discard(self, renew: Callable[[], object]) -> None:
        """Call it no more."""
        with self._changed:
            self._due.pop(renew, None)
            if not self._due:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._running = False
                    return
                renew, due = next(iter(self._due.items()))  # the one that has waited longest
                if self._changed.wait(due - time.monotonic()) or renew not in self._due:
                    continue
                del self._due[renew]
                self._due[renew] = time.monotonic() + self._period
            try:
                renew()
            except Exception:
                import logging  # noqa: PLC0415  # costs import time that only a broken store should pay

                logging.getLogger("scalekit.ratelimit").exception("a lease was not renewed")
