"""The thread that renews leases; `_async_renewals.py` has a task for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Renewals:
    """Calls each of `renew` every `period` seconds, in one thread.

    It ends when there was none for a period: to start one for each would take longer than all the rest. So
    nobody has to wake it either: what is added is due no sooner than a period later.
    """

    __slots__ = ("_due", "_lock", "_period", "_running")

    def __init__(self, period: float) -> None:
        self._period = period
        self._lock = threading.Lock()
        self._due: dict[Callable[[], object], float] = {}
        self._running = False

    def add(self, renew: Callable[[], object]) -> None:
        """Call it from now on."""
        with self._lock:
            self._due[renew] = time.monotonic() + self._period
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="scalekit-leases", daemon=True).start()

    def discard(self, renew: Callable[[], object]) -> None:
        """Call it no more."""
        with self._lock:
            self._due.pop(renew, None)

    def _run(self) -> None:
        idle = False
        while True:
            with self._lock:
                if idle and not self._due:
                    self._running = False
                    return
                idle = not self._due
                wait = min(self._due.values(), default=time.monotonic() + self._period) - time.monotonic()
            time.sleep(max(0.0, wait))
            for renew in self._taken():
                try:
                    renew()
                except Exception:
                    import logging  # noqa: PLC0415  # costs import time that only a broken store should pay

                    logging.getLogger("scalekit.ratelimit").exception("a lease was not renewed")

    def _taken(self) -> list[Callable[[], object]]:
        """Return those that are due, and put them off by a period."""
        with self._lock:
            now = time.monotonic()
            taken = [renew for renew, due in self._due.items() if due <= now]
            self._due.update(dict.fromkeys(taken, now + self._period))
        return taken
