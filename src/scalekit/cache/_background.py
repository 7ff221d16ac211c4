"""Work behind the callers' backs: reloads of what is stale, renewals of leases, replays of invalidations.

Daemon threads, started when there is something to do and gone after it: none at import, none in a
constructor, and none that an interpreter would wait for when it exits.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from scalekit.cache._flight import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Work: TypeAlias = "Callable[[], object]"

_MOST_THREADS = 8
"""Reloads at once; what would be one more waits for the next stale read, which asks again."""
_GLANCE = 0.001
"""Seconds from look to look of who waits for the end: he is rare, and what runs need not think of him."""


class Background:
    """What runs behind the back of one `Cache`."""

    __slots__ = ("_lock", "_process", "_running")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finaliser may come into any of these calls, and need another
        self._running: set[str] = set()
        self._process = os.getpid()

    def start(self, name: str, work: Work) -> None:
        """Run `work`, unless work of that name or too much else is running. It reports its own errors."""
        if self._reserved(name, most=_MOST_THREADS):
            self._begin(name, work, needed=lambda: False)

    def keep(self, name: str, work: Work, *, needed: Callable[[], bool]) -> None:
        """Run `work`, and again as long as it is `needed`, unless work of that name is running.

        That one will ask once more whether it is needed, after this call.
        """
        if self._reserved(name, most=None):
            self._begin(name, work, needed=needed)

    def _reserved(self, name: str, *, most: int | None) -> bool:
        """Take `name`, unless it is taken, or `most` are."""
        if self._process != os.getpid():  # a fork has copied the names, but not the threads
            self.__init__()  # type: ignore[misc]
        with self._lock:
            if (most is not None and len(self._running) >= most) or name in self._running:
                return False
            self._running.add(name)
            return True

    def _begin(self, name: str, work: Work, *, needed: Callable[[], bool]) -> None:
        # Not under the lock: to make a thread is much code, in which a finaliser may run and come here.
        try:
            context = copy_context()
            context.run(loading.set, ())  # nobody's load waits for it, so it may wait for any
            args = (self._run, name, work, needed)
            threading.Thread(target=context.run, args=args, name="scalekit-cache", daemon=True).start()
        except BaseException as error:
            self._running.discard(name)
            if not isinstance(error, RuntimeError):  # which is: no more threads
                raise

    def _run(self, name: str, work: Work, needed: Callable[[], bool]) -> None:
        try:
            while True:
                with suppress(Exception):
                    work()
                with self._lock:  # or somebody who needs it finds it running, and it ends
                    if not needed():
                        self._running.discard(name)
                        return
        except BaseException:
            self._running.discard(name)
            raise

    def pause(self, seconds: float) -> None:
        """Wait, in work that goes on for long."""
        threading.Event().wait(seconds)

    def join(self, seconds: float) -> bool:
        """Wait until nothing runs, no longer than so many seconds; return whether that is so."""
        until = monotonic() + seconds
        while running := bool(self._running) and self._process == os.getpid():
            if monotonic() >= until:
                break
            self.pause(_GLANCE)
        return not running

    @contextmanager
    def repeating(self, work: Callable[[], bool], *, every: float) -> Generator[None]:
        """Call `work` every so many seconds while the block runs, until it returns False."""
        ended = threading.Event()

        def repeat() -> None:
            while not ended.wait(every) and work():
                pass

        thread = threading.Thread(target=repeat, name="scalekit-cache", daemon=True)
        with suppress(RuntimeError):  # no more threads: then the lease ends by itself
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if thread.ident is not None:
                thread.join()  # a renewal that comes after the release would take the lease anew
