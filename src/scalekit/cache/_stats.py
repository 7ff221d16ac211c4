"""What a cache counts."""

from __future__ import annotations

from typing import NamedTuple


class CacheStats(NamedTuple):
    """A cache's counters since it was made.

    `hits` and `misses` count calls that asked for a value (a call that waits for another's load is a
    miss); `loads` counts loader runs, failed ones, which are in `load_errors` too, included;
    `invalidations` counts tags.
    """

    hits: int
    misses: int
    loads: int
    load_errors: int
    invalidations: int

    @property
    def hit_ratio(self) -> float:
        """Hits per call, from 0.0 to 1.0; 0.0 before the first call."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0


class Counts:
    """The running counters: plain integers, so that counting costs a hit nearly nothing.

    Exact while the interpreter has a global lock; without one, threads may lose a count.
    """

    __slots__ = ("hits", "invalidations", "load_errors", "loads", "misses")

    def __init__(self) -> None:
        self.hits = self.misses = self.loads = self.load_errors = self.invalidations = 0

    def stats(self) -> CacheStats:
        """Return the counters as they are now."""
        return CacheStats(self.hits, self.misses, self.loads, self.load_errors, self.invalidations)
