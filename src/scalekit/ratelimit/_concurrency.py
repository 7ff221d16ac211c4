# ruff: noqa: SLF001  # a slot is a part of its limiter
# pyright: reportPrivateUsage=false
"""The concurrency limiter for threads; `_async_concurrency.py` is its twin."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from scalekit._time import seconds
from scalekit.errors import BackendError, ConfigurationError, RateLimitExceeded
from scalekit.ratelimit._clocks import Clocks
from scalekit.ratelimit._events import reports
from scalekit.ratelimit._fitting import fitting_concurrency_store
from scalekit.ratelimit._key import prefix_of, unusual_key
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._memory_concurrency import MemoryConcurrencyStore
from scalekit.ratelimit._occupied import checked_places, occupied
from scalekit.ratelimit._renewals import Renewals
from scalekit.ratelimit._turn import Turn
from scalekit.ratelimit._waiting import patience

if TYPE_CHECKING:
    from types import TracebackType

    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.ratelimit.protocols import ConcurrencyStore


class ConcurrencyLimiter:
    """Lets at most `limit` (an integer >= 1) at once into what a key guards, in all processes together.

    `store` keeps who is in (default: a `MemoryConcurrencyStore` of its own, for this process). `name`
    separates limiters that share a store. `lease` (default "30s") is how long a place is kept for a holder of
    which the store hears nothing. A living one renews it every third of that, in a thread that ends soon
    after the last place was given back; a crashed one's place comes back when it ends. `clock` is for tests.

    A store that fails raises `BackendError`: there is no `on_error` here, for each process by itself would
    let `limit` in. Worst case: a holder that could not renew for a whole lease (its process was stopped, the
    store was away) still works while another has its place; its slot then is `lost`.

    Raises `ConfigurationError`, and `TypeError` for an async store. Safe to share between threads.
    """

    def __init__(
        self,
        limit: int,
        *,
        store: ConcurrencyStore | None = None,
        lease: Duration = "30s",
        name: str = "default",
        on_event: Hook | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limit = checked_places(limit)
        self._lease = seconds(lease, "lease")
        self._store = fitting_concurrency_store(MemoryConcurrencyStore() if store is None else store)
        self._prefix = prefix_of(name)
        self._reports = reports(name, on_event)
        self._clocks = Clocks(clock, time.time)
        # Within the process there is nobody to tell that one is still alive.
        inside = store is None or hasattr(store, "nonblocking")
        self._renewals = None if inside else Renewals(self._lease / 3)

    def slot(self, key: str, *, timeout: Duration | None = None) -> Slot:
        """Return a context manager that holds a place of `key`.

        It waits for one, behind all who came before, for up to `timeout` (default: no bound; 0: not at all),
        and then raises `RateLimitExceeded`. A waiter that is interrupted or cancelled leaves nothing behind.
        """
        return Slot(self, key, unusual_key(self._prefix, key), patience(timeout))

    def _enter(self, slot: Slot, stored: str, budget: float) -> None:
        turn, started = Turn(), self._clocks.now()
        try:
            while True:
                now = self._clocks.now()
                wait = self._store.acquire(
                    stored, slot.holder, self._limit, round(self._lease * MICROSECONDS), turn.wake
                )
                left = budget - (now - started) / MICROSECONDS
                if not wait or left <= 0:
                    break
                turn.wait(min(wait, left))
        except BaseException:
            self._leave(slot, stored)
            raise
        if wait:
            self._leave(slot, stored)
        decision = occupied(self._limit, self._lease, wait, self._clocks)
        if self._reports is not None:
            waited = (self._clocks.now() - started) / MICROSECONDS
            self._reports.decided("slot", slot.key, 1, decision, seconds=waited)
        if wait:
            raise RateLimitExceeded(decision)
        slot.renewed = now
        if self._renewals is not None:
            self._renewals.add(slot.renew)

    def _renew(self, slot: Slot, stored: str) -> None:
        now = self._clocks.now()
        try:
            kept = self._store.renew(stored, slot.holder, round(self._lease * MICROSECONDS))
        except BackendError as error:
            if self._reports is not None:
                self._reports.failed(slot.key, error)
            if now - slot.renewed < self._lease * MICROSECONDS:
                return  # the next time may be in time
            kept = False
        if kept:
            slot.renewed = now
        elif not slot.lost:
            slot.lost = True
            if self._reports is not None:
                self._reports.done("slot", slot.key, "lost")

    def _leave(self, slot: Slot, stored: str) -> None:
        if self._renewals is not None:
            self._renewals.discard(slot.renew)
        try:
            self._store.release(stored, slot.holder)
        except BackendError as error:
            # It ends by itself, with its lease: nothing for who has done what it came for.
            if self._reports is not None:
                self._reports.failed(slot.key, error)


class Slot:
    """A place of `key`, held within `with`; made by `ConcurrencyLimiter.slot`.

    `lost` is True once another may have the place, since the lease was not renewed in time. Each use has a
    `holder` of its own; `renewed` is when the store last heard of it, in microseconds.
    """

    __slots__ = ("_budget", "_limiter", "_stored", "holder", "key", "lost", "renewed")

    def __init__(self, limiter: ConcurrencyLimiter, key: str, stored: str, budget: float) -> None:
        self._limiter = limiter
        self._stored = stored
        self._budget = budget
        self.key: str = key
        self.holder: str = ""
        self.lost: bool = False
        self.renewed: int = 0

    def __enter__(self) -> Self:
        if self.holder:
            raise ConfigurationError("slot", self.key, "that is not in use: each `with` needs one of its own")
        self.holder = uuid4().hex
        self.lost = False
        try:
            self._limiter._enter(self, self._stored, self._budget)
        except BaseException:
            self.holder = ""
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the place back before the end of `with`; a second time does nothing."""
        if self.holder:
            self._limiter._leave(self, self._stored)
            self.holder = ""

    def renew(self) -> None:
        """Tell the store that the holder is alive; this is done by itself."""
        self._limiter._renew(self, self._stored)
