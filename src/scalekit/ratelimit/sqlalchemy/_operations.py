"""What each method of the store does, in statements: the same for sync and async."""

from __future__ import annotations

import time
from contextlib import suppress
from random import random
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from scalekit.errors import BackendError
from scalekit.ratelimit.sqlalchemy import _row
from scalekit.ratelimit.sqlalchemy._row import Unreadable, checked, stored_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.ratelimit.sqlalchemy._statements import Statements
    from scalekit.sqlalchemy._run import Run

# An admitted hit in 32 takes away up to 64 rows, so on average two, and makes at most one. A chance, not a
# count: some processes hit only a few times.
_CHANCE = 1 / 32
chance: Callable[[], float] = random


class Operations:
    """The operations on one table.

    `clock` gets what a statement says about the time: microseconds since 1970, or None from SQLite, where
    the machine is one for all and its clock finer than SQLite's own.
    """

    def __init__(self, statements: Statements, backend: str) -> None:
        self._sql = statements
        self._backend = backend
        self.clock: Callable[[int | None], int] = _clock

    def hit(self, run: Run, key: str, quota: Quota, cost: int) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        sql, name = self._sql, stored_key(key)
        checked(quota)
        run.hold(sql.begin, sql.begun)
        state, clock = run.rows(sql.lock, (name,) * sql.locked)[0]
        now = self.clock(clock)
        try:
            verdict, kept = _row.hit(state or b"", quota, cost, now)
        except Unreadable as error:
            raise self._unreadable("hit", error) from error
        if kept is not None:
            run.changed(sql.keep, (*kept, name))
            if chance() < _CHANCE:
                with suppress(SQLAlchemyError):  # the next one will do it; this hit is done
                    run.changed(sql.sweep, (now,))
        return verdict

    def peek(self, run: Run, key: str, quota: Quota, cost: int) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        checked(quota)
        if self._sql.remote:
            run.alone()
        state, clock = run.rows(self._sql.read, (stored_key(key),))[0]
        try:
            return _row.peek(state or b"", quota, cost, self.clock(clock))
        except Unreadable as error:
            raise self._unreadable("peek", error) from error

    def refund(self, run: Run, key: str, quota: Quota, cost: int) -> None:
        """Take back the newest `cost` units of `key`."""
        sql, name = self._sql, stored_key(key)
        run.hold(sql.begin, sql.begun)
        for state, clock in run.rows(sql.lock_found, (name,)):
            if state:
                try:
                    refunded = _row.refunded(state, quota, cost, self.clock(clock))
                except Unreadable as error:
                    raise self._unreadable("refund", error) from error
                run.changed(sql.refund, (refunded, name))

    def reset(self, run: Run, key: str) -> None:
        """Forget what `key` consumed."""
        if self._sql.remote:
            run.alone()
        run.changed(self._sql.reset, (stored_key(key),))

    def _unreadable(self, operation: str, error: Unreadable) -> BackendError:
        return BackendError(self._backend, operation, str(error))


def _clock(told: int | None) -> int:
    return time.time_ns() // 1_000 if told is None else told
