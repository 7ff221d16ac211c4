"""Calls at set times, from a thread of its own; for what no event loop and no other thread can do.

The thread is a daemon, starts with the first call that is set, and ends when there has been none for a
while. A process that ends does not wait for what is still set.
"""

from __future__ import annotations

import os
import sys
import threading
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 30.0
"""Seconds for which the thread waits for more: to start it takes longer than to wake it."""

_alive: WeakSet[Alarms] = WeakSet()


def _renew_all() -> None:
    for alarms in _alive:
        alarms.renew()


if hasattr(os, "register_at_fork"):  # the child has no such thread, and maybe a lock without a holder
    os.register_at_fork(after_in_child=_renew_all)


class Alarm:
    """A call that is set. Once `cancel` has returned it has either been made or never will be."""

    __slots__ = ("_call", "_lock")

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether there is nothing to call any more."""
        return self._call is None

    def cancel(self) -> None:
        """Do not call, or wait until the call has returned."""
        with self._lock:
            self._call = None

    def ring(self) -> None:
        """Make the call, if it is not cancelled; what it raises is reported as a thread's own error is."""
        with self._lock:
            call, self._call = self._call, None
            if call is None:
                return
            try:
                call()
            except Exception:  # noqa: BLE001  # the others must still ring
                thread = threading.current_thread()
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


class Alarms:
    """The calls of one thread; one that takes long makes those after it late."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.renew()
        _alive.add(self)

    def renew(self) -> None:
        """Begin anew, with nothing set."""
        # Re-entrant: the garbage collector may run a finaliser in here, and that may use a store.
        self._changed = threading.Condition(threading.RLock())
        self._set: list[tuple[float, int, Alarm]] = []
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def set(self, at: float, call: Callable[[], object]) -> Alarm:
        """Call `call` at `at`, on `time.monotonic`, or soon after."""
        alarm = Alarm(call)
        with self._changed:
            heappush(self._set, (at, next(self._numbers), alarm))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._set[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _run(self) -> None:
        while True:
            with self._changed:
                # What is cancelled stays until now, for the thread shall not wake for each call that ends.
                while self._set and self._set[0][2].over:
                    heappop(self._set)
                if not self._set and not self._changed.wait_for(lambda: self._set, _PATIENCE):
                    self._thread = None
                    return
                left = self._set[0][0] - monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                alarm = heappop(self._set)[2]
            alarm.ring()
