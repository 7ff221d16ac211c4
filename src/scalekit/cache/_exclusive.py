"""One call at a time in a structure that lives in memory, and none inside another.

The first is a lock's work. The second is not: the garbage collector may run a finaliser in the middle of
any operation, in its thread, and if that uses the cache a plain lock would wait for itself for ever, and a
re-entrant one would let it into a half-finished structure. So a call that finds itself inside another learns
that: it answers what is always allowed (not found, not stored), and leaves what must be done for the end
of the outer call, before any other thread can look.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Exclusive:
    """`with exclusive as alone:` runs its block alone, or says with a False that it runs inside another."""

    __slots__ = ("_deferred", "_depth", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._deferred: list[Callable[[], object]] = []

    def defer(self, operation: Callable[[], object]) -> None:
        """Run `operation` at the end of the outer call."""
        self._deferred.append(operation)

    def __enter__(self) -> bool:
        self._lock.acquire()
        self._depth += 1
        return self._depth == 1

    def __exit__(self, *_: object) -> None:
        try:
            # From this test to the next line nothing can come between: the interpreter gives way only at
            # calls and backward jumps.
            while self._depth == 1 and self._deferred:
                self._deferred.pop(0)()
        finally:
            self._depth -= 1
            self._lock.release()
