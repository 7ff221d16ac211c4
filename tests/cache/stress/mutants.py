"""The classic mistakes of a cache, planted: what `stress` must find."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from scalekit.cache import Cache, Entry, MemoryCacheStore, Snapshot
from scalekit.cache._async_flight import AsyncFlights
from scalekit.cache._flight import Flights
from tests.cache.stress.storm import Outcome, stress

if TYPE_CHECKING:
    from collections.abc import Iterator

MUTANTS = {
    "after": "tokens read after the load",
    "counters": "counters, missing = 0",
    "joins": "join of an older flight",
}


class Afterwards(MemoryCacheStore):
    """Mutant: the tokens are read after the load, when the value is written."""

    def write(self, slot: Any, entry: Any, snapshot: Any, now: float, /) -> bool:
        if snapshot is not None:
            snapshot = self.begin(slot, now, False)
        return super().write(slot, entry, snapshot, now)


class Counters:
    """Mutant: versions are counters, and one that was evicted counts as 0. A store in memory."""

    nonblocking = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._entries: dict[str, tuple[Entry, Snapshot]] = {}

    def _seen(self, slot: Any) -> Snapshot:
        return Snapshot(self._versions.get(name, 0) for name in (f"load {slot.key}", *slot.tags))

    def read(self, slot: Any, now: float, /) -> Any:
        with self._lock:
            entry, seen = self._entries.get(slot.key, (None, None))
            now_seen = self._seen(slot)
            return entry if entry is not None and seen == now_seen else now_seen

    def begin(self, slot: Any, now: float, outdate: bool, /) -> Any:
        return self._seen(slot)

    def write(self, slot: Any, entry: Any, snapshot: Any, now: float, /) -> bool:
        with self._lock:
            if snapshot != self._seen(slot):
                return False
            self._entries[slot.key] = (entry, snapshot)
            return True

    def delete(self, keys: Any, /) -> None:
        with self._lock:
            for key in keys:
                self._entries.pop(key, None)
        self.invalidate([f"load {key}" for key in keys])

    def invalidate(self, tags: Any, /) -> None:
        with self._lock:
            for tag in tags:
                self._versions[tag] = self._versions.get(tag, 0) + 1

    def evict(self, key: int) -> None:
        with self._lock:
            for name in [name for name in self._versions if name.endswith(f"item:{key}")]:
                del self._versions[name]


@contextlib.contextmanager
def joining_older_flights() -> Iterator[None]:
    """Mutant: whoever misses a key joins whatever load of it is running."""
    originals = [(cls, cls.join) for cls in (Flights, AsyncFlights)]
    for cls, original in originals:

        def join(self: Any, ident: Any, fill: Any, *, original: Any = original, **options: Any) -> Any:
            return original(self, (ident[0], ()), fill, **options)

        cls.join = join  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for cls, original in originals:
            cls.join = original  # type: ignore[method-assign]


def mutated(mutant: str, reads: int) -> Outcome:
    """Run the stress on a cache that makes the mistake."""
    if mutant == "after":
        return stress(Cache(Afterwards()), reads)
    if mutant == "counters":
        store = Counters()
        return stress(Cache(store), reads, evict=store.evict)
    with joining_older_flights():
        return stress(Cache(), reads)
