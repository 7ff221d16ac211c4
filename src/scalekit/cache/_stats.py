"""What a cache counts."""

from __future__ import annotations

from typing import NamedTuple


class CacheStats(NamedTuple):
    """A cache's counters since it was made.

    `hits` and `misses` count calls that asked for a value (a call that waits for a load, its own or
    another's, is a miss). `stale_hits` counts answers that were past their ttl: hits that did not wait, and
    misses whose load failed. `loads` counts loader runs, failed ones included; these are in `load_errors`
    too, as are those whose value could not be written as it is. `invalidations` counts tags; `backend_errors`
    counts calls of the store that failed.
    """

    hits: int
    misses: int
    stale_hits: int
    loads: int
    load_errors: int
    invalidations: int
    backend_errors: int

    @property
    def hit_ratio(self) -> float:
        """Hits per call, from 0.0 to 1.0; 0.0 before the first call."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0


class Counts:
    """The running counters: plain integers, so that counting costs a hit nearly nothing.

    Exact while the interpreter has a global lock, since it gives way only at calls and loops, and there is
    none between reading a counter and writing it. Without that lock threads may lose a count.
    """

    __slots__ = CacheStats._fields

    def __init__(self) -> None:
        self.hits = self.misses = self.stale_hits = self.loads = 0
        self.load_errors = self.invalidations = self.backend_errors = 0

    def stats(self) -> CacheStats:
        """Return the counters as they are now."""
        return CacheStats(*[getattr(self, name) for name in CacheStats._fields])
