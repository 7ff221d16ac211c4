"""Those who listen at a link: watchers of names, and bells that wait for a channel."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Watcher(Protocol):
    """Who wants to hear of every change of a name that begins with one of `prefixes`.

    A *session* is a time without a gap: every change since `begun` was or will be told. `proven` says up to
    when it was: an instant of `time.monotonic` such that each change which its author knows to have taken
    effect before it has been told. No method may block, and none may raise.
    """

    @property
    def prefixes(self) -> frozenset[bytes]:
        """What the names begin with; none of them begins with another."""
        ...

    @property
    def interval(self) -> float:
        """How many seconds apart it wants proofs."""
        ...

    def begun(self, session: object) -> None:
        """From now on changes are told; what it knew before, it cannot rely on."""
        ...

    def changed(self, names: Sequence[bytes] | None) -> None:
        """These names have changed, or have gone; None says that all have."""
        ...

    def proven(self, session: object, at: float) -> None:
        """No change from before the instant `at` is missing."""
        ...

    def lost(self, session: object) -> None:
        """The session is over: changes from now on are not told."""
        ...

    def forked(self) -> None:
        """This is a fork's child: all sessions are its parent's. Threads that are not may hold locks."""
        ...


class Event(Protocol):
    """What `threading.Event` and `asyncio.Event` have in common."""

    def set(self) -> object: ...

    def clear(self) -> None: ...

    def is_set(self) -> bool: ...


E = TypeVar("E", bound=Event)


class Bell(Generic[E]):
    """Rings when something is published on its channel, or when it might have been missed.

    It is `armed` from when the server has confirmed the subscription until it rings. Until then, and where
    no connection is to be had, it is silent.
    """

    __slots__ = ("armed", "rung")

    def __init__(self, event: Callable[[], E]) -> None:
        self.armed: E = event()
        self.rung: E = event()


_forking = threading.Lock()
_alive: WeakSet[Audience[Any]] = WeakSet()
_held: list[Audience[Any]] = []


class Audience(Generic[E]):
    """The watchers and bells of one link. Watchers are known weakly: who listens no more need not say so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: WeakSet[Watcher] = WeakSet()
        self._bells: dict[bytes, list[Bell[E]]] = {}
        # Held while watchers are told something. A fork waits for it: told in a thread that the child does
        # not have, they may hold a lock that then stays locked there for ever.
        self.telling = threading.Lock()
        with _forking:
            _alive.add(self)

    def forked(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.Lock()
        self.telling = threading.Lock()
        for watcher in list(self._watchers):
            watcher.forked()

    def watchers(self) -> list[Watcher]:
        """Return who watches."""
        with self._lock:
            return list(self._watchers)

    def join(self, watcher: Watcher) -> bool:
        """Add `watcher`; return whether it is new."""
        if watcher in self._watchers:
            return False
        with self._lock:
            self._watchers.add(watcher)
        return True

    def hang(self, channel: bytes, bell: Bell[E]) -> None:
        """Let `bell` ring when something is published on `channel`."""
        with self._lock:
            self._bells.setdefault(channel, []).append(bell)

    def take_down(self, channel: bytes, bell: Bell[E]) -> None:
        """Let `bell` ring no more."""
        with self._lock:
            bells = self._bells.get(channel, [])
            if bell in bells:
                bells.remove(bell)
            if not bells:
                self._bells.pop(channel, None)

    def channels(self) -> frozenset[bytes]:
        """Return the channels that bells hang at."""
        with self._lock:
            return frozenset(self._bells)

    def _at(self, channel: bytes) -> list[Bell[E]]:
        with self._lock:
            return list(self._bells.get(channel, ()))

    def arm(self, channel: bytes) -> None:
        """Tell the bells at `channel` that they will be heard of."""
        for bell in self._at(channel):
            bell.armed.set()

    def ring(self, channel: bytes) -> None:
        """Ring the bells at `channel`."""
        for bell in self._at(channel):
            bell.rung.set()

    def changed(self, names: Sequence[bytes] | None) -> None:
        """Tell the watchers of changes."""
        for watcher in self.watchers():
            watcher.changed(names)

    def lost(self, session: object) -> None:
        """Tell everybody that the session is over. Bells ring: what they wait for may have happened."""
        for watcher in self.watchers():
            watcher.lost(session)
        for channel in self.channels():
            for bell in self._at(channel):
                bell.armed.clear()
                bell.rung.set()


def _before_fork() -> None:
    _forking.acquire()
    _held.extend(_alive)
    for audience in _held:
        audience.telling.acquire()


def _after_fork() -> None:
    while _held:
        _held.pop().telling.release()
    _forking.release()


def _in_child() -> None:
    while _held:
        _held.pop().forked()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
