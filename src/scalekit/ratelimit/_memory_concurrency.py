"""Places within one process, handed on to the one that has waited longest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from scalekit.ratelimit._leases import ADMITTED, Leases

if TYPE_CHECKING:
    from collections.abc import Callable

_FOR_EVER = 1 << 62


class MemoryConcurrencyStore:
    """Keeps who holds a place in this process, for both faces.

    A place that is given back goes to the one that has waited longest, a thread or a task of any event loop,
    which is woken for it. Leases do not end by themselves: a holder that is gone has taken the store with it.
    Keys that nobody holds or waits for take no memory. Not for use across a `fork`.
    """

    __slots__ = ("_keys", "_lock")

    nonblocking: Literal[True] = True

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finaliser that gives a place back may run in the middle of a call
        self._keys: dict[str, _Places] = {}

    def __len__(self) -> int:
        """Return how many keys are held or waited for."""
        return len(self._keys)

    def acquire(
        self, key: str, holder: str, places: int, _lease: int, wake: Callable[[], object], /
    ) -> float:
        """Return 0.0 if `holder` has a place now; else it is in line, and `wake` is called for its turn."""
        with self._lock:
            held = self._keys.setdefault(key, _Places())
            held.places = places
            if held.acquire(holder, places, _FOR_EVER, _FOR_EVER, 0) == ADMITTED:
                held.wakes.pop(holder, None)
                return 0.0
            held.wakes[holder] = wake
            return 3_600.0

    def renew(self, key: str, holder: str, _lease: int, /) -> bool:
        """Return whether `holder` has a place."""
        held = self._keys.get(key)
        return held is not None and holder in held.holders

    def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line, and wake who is next."""
        with self._lock:
            held = self._keys.get(key)
            if held is None:
                return
            held.release(holder)
            held.wakes.pop(holder, None)
            if not held.holders and not held.line:
                del self._keys[key]
            # All for whom there is a place now: one that was woken may not have asked again yet.
            for who in list(held.line)[: max(0, held.places - len(held.holders))]:
                held.wakes[who]()


class _Places(Leases):
    __slots__ = ("places", "wakes")

    def __init__(self) -> None:
        super().__init__()
        self.places = 0
        self.wakes: dict[str, Callable[[], object]] = {}
