"""One call at a time in a structure that lives in memory, and none inside another.

The first is a lock's work. The second is not: the garbage collector may run a finaliser in the middle of
any operation, in its thread, and if that uses the cache a plain lock would wait for itself for ever, and a
re-entrant one would let it into a half-finished structure. So a call that finds itself inside another learns
that: it answers what is always allowed (not found, not stored), and leaves what must be done for the end
of the outer call, before any other thread can look.

A fork copies a call that another thread is inside of, but not that thread: in the child nobody would end it.
There the lock is renewed, and the structure, half changed perhaps, begins anew. A structure that cannot do
so is `whole`: a fork waits for who is inside, though not for ever, since he might wait for the one who forks.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakMethod, WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 1.0
"""Seconds for which a fork waits, for all together; who is inside needs microseconds."""

_alive: WeakSet[Exclusive] = WeakSet()
_held: dict[int, list[Exclusive]] = {}  # by thread: two may fork at the same time


class Exclusive:
    """`with exclusive as alone:` runs its block alone, or says with a False that it runs inside another.

    `forget`, a method, is called in the child of a fork where another thread was inside at the fork.
    """

    __slots__ = ("__weakref__", "_deferred", "_depth", "_forget", "_lock", "whole")

    def __init__(self, forget: Callable[[], object] | None = None, *, whole: bool = False) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._deferred: list[Callable[[], object]] = []
        self._forget = None if forget is None else WeakMethod(forget)  # its object holds this one
        self.whole = whole
        _alive.add(self)

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

    def hold(self, seconds: float) -> bool:
        """Keep other threads out while this one forks; return whether that was possible in time."""
        return self._lock.acquire(timeout=seconds)

    def let_go(self) -> None:
        """End what `hold` began."""
        self._lock.release()

    def entered_anew(self) -> bool:
        """Enter with a new lock if the thread that was inside has been lost; return whether that is so."""
        if self._lock.acquire(blocking=False):  # nobody was, or the one who forks
            self._lock.release()
            return False
        self._lock = threading.RLock()
        self._deferred = []
        self._depth = 0
        self.__enter__()
        return True

    def begin_anew(self) -> None:
        """Leave, once the structure is as new."""
        try:
            forget = self._forget and self._forget()
            if forget is not None:
                forget()
        finally:
            self.__exit__()


def _before_fork() -> None:
    ends = monotonic() + _PATIENCE
    held = _held[threading.get_ident()] = []  # known from the first on: an interrupt may come between two
    held.extend(each for each in _everyone() if each.whole and each.hold(max(0.0, ends - monotonic())))


def _everyone() -> list[Exclusive]:
    while True:
        try:
            return list(_alive)
        except RuntimeError:  # another thread, or a finaliser, has made one meanwhile
            continue


def _after_fork() -> None:
    for exclusive in _held.pop(threading.get_ident(), ()):
        exclusive.let_go()


def _in_child() -> None:
    _after_fork()
    _held.clear()  # what other threads were about to fork with
    # All locks first: what is then forgotten may have finalisers, which use any of these structures.
    for exclusive in [exclusive for exclusive in _everyone() if exclusive.entered_anew()]:
        exclusive.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
