"""What a cache counts and tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache._events import CacheEvent
from scalekit.cache._stats import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._entry import Slot
    from scalekit.errors import BackendError
    from scalekit.events import Event


class Watch:
    """Counters, and the events for a hook if there is one."""

    __slots__ = ("_emit", "counts")

    def __init__(self, emit: Callable[[Event], None] | None) -> None:
        self.counts = Counts()
        self._emit = emit

    def hit(self, slot: Slot, *, stale: bool = False) -> None:
        """A call was answered without waiting for a load."""
        self.counts.hits += 1
        self.counts.stale_hits += stale
        if self._emit is not None:
            self._emit(CacheEvent("get", outcome="stale" if stale else "hit", key=slot.key, tags=slot.tags))

    def miss(self, slot: Slot) -> None:
        """A call has to wait for a load, or gets its default."""
        self.counts.misses += 1
        if self._emit is not None:
            self._emit(CacheEvent("get", outcome="miss", key=slot.key, tags=slot.tags))

    def reserve(self, slot: Slot) -> None:
        """A call that waited for a load that failed was answered with a stale value."""
        self.counts.stale_hits += 1
        if self._emit is not None:
            self._emit(CacheEvent("get", outcome="stale", key=slot.key, tags=slot.tags))

    def load(self, slot: Slot, outcome: str, seconds: float, error: Exception | None = None) -> None:
        """A loader ran: "ok", "error", or "outdated" for a value that was not stored."""
        self.counts.load_errors += outcome == "error"
        if self._emit is not None:
            event = CacheEvent(
                "load", outcome=outcome, key=slot.key, tags=slot.tags, seconds=seconds, error=error
            )
            self._emit(event)

    def told(
        self, name: str, *, outcome: str = "ok", key: str | None = None, tags: tuple[str, ...] = ()
    ) -> None:
        """The cache was told to do something."""
        if self._emit is not None:
            self._emit(CacheEvent(name, outcome=outcome, key=key, tags=tags))

    def invalidated(self, tags: int) -> None:
        """So many tags were invalidated."""
        self.counts.invalidations += tags  # no call in this statement: see `Counts`

    def failed(self, operation: str, error: BackendError, *, key: str | None = None) -> None:
        """The store failed in one of its methods."""
        self.counts.backend_errors += 1
        if self._emit is not None:
            self._emit(CacheEvent("store", outcome="error", key=key, operation=operation, error=error))
