"""Leases: of all processes that ask for a key, one has it, for a while.

A lease is a row of its own that names its owner, so no invalidation touches it, and the clean-up takes away
those that have ended. Who waits looks again and again. PostgreSQL could tell him (LISTEN), but over a
connection that he keeps for himself while he waits, and not through a pooler of transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache.sqlalchemy._record import lease_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalekit.cache.sqlalchemy._statements import Statements
    from scalekit.sqlalchemy._run import Run

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.05


class Leases:
    """The leases of one table; `clock` gives milliseconds since 1970, or None for the database's own."""

    def __init__(self, statements: Statements, clock: Callable[[], int | None]) -> None:
        self._sql = statements
        self._clock = clock

    def acquire(self, run: Run, key: str, owner: bytes, seconds: float) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        clock, lasts = self._clock(), max(1, int(seconds * 1_000))
        return bool(run.changed(self._sql.acquire(), (lease_name(key), owner, clock, lasts, clock)))

    def release(self, run: Run, key: str, owner: bytes) -> None:
        """Give the lease of `key` back, if `owner` still has it."""
        run.changed(self._sql.release(), (lease_name(key), owner))

    def left(self, run: Run, key: str) -> float:
        """Return how many seconds are left of the lease of `key`; none or less if it is free."""
        rows = run.rows(self._sql.tokens(1), (self._clock(), lease_name(key)))
        return rows[0][2] / 1_000 if rows else 0.0


def pauses() -> Iterator[float]:
    """Yield how many seconds to wait between two looks at a lease: many loads are short."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 1.5)
