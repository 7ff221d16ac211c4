# ruff: noqa: SLF001  # a slot is a part of its limiter
# pyright: reportPrivateUsage=false
"""The concurrency limiter for asyncio; `_concurrency.py` is its twin."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from scalekit._time import seconds
from scalekit.errors import BackendError, ConfigurationError, RateLimitExceeded
from scalekit.ratelimit._async_renewals import AsyncRenewals
from scalekit.ratelimit._async_turn import AsyncTurn
from scalekit.ratelimit._clocks import Clocks
from scalekit.ratelimit._events import reports
from scalekit.ratelimit._fitting import async_fitting_concurrency_store
from scalekit.ratelimit._key import prefix_of, unusual_key
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._memory_concurrency import MemoryConcurrencyStore
from scalekit.ratelimit._occupied import checked_places, occupied
from scalekit.ratelimit._waiting import patience

if TYPE_CHECKING:
    from types import TracebackType

    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.ratelimit.protocols import AsyncConcurrencyStore, NonblockingConcurrencyStore


class AsyncConcurrencyLimiter:
    """Lets at most `limit` (an integer >= 1) at once into what a key guards, in all processes together.

    `ConcurrencyLimiter` for asyncio: its docstring says what the options mean. `store` is an async store, or
    one within the process (default: a `MemoryConcurrencyStore` of its own). A task renews each lease.
    """

    def __init__(
        self,
        limit: int,
        *,
        store: AsyncConcurrencyStore | NonblockingConcurrencyStore | None = None,
        lease: Duration = "30s",
        name: str = "default",
        on_event: Hook | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limit = checked_places(limit)
        self._lease = seconds(lease, "lease")
        self._store = async_fitting_concurrency_store(MemoryConcurrencyStore() if store is None else store)
        self._prefix = prefix_of(name)
        self._reports = reports(name, on_event)
        self._clocks = Clocks(clock, time.time)
        # Within the process there is nobody to tell that one is still alive.
        inside = store is None or hasattr(store, "nonblocking")
        self._renewals = None if inside else AsyncRenewals(self._lease / 3)

    def slot(self, key: str, *, timeout: Duration | None = None) -> AsyncSlot:
        """Return a context manager that holds a place of `key`.

        It waits for one, behind all who came before, for up to `timeout` (default: no bound; 0: not at all),
        and then raises `RateLimitExceeded`. A waiter that is interrupted or cancelled leaves nothing behind.
        """
        return AsyncSlot(self, key, unusual_key(self._prefix, key), patience(timeout))

    async def _enter(self, slot: AsyncSlot, stored: str, budget: float) -> None:
        turn, started = AsyncTurn(), self._clocks.now()
        try:
            while True:
                now = self._clocks.now()
                wait = await self._store.acquire(
                    stored, slot.holder, self._limit, round(self._lease * MICROSECONDS), turn.wake
                )
                left = budget - (now - started) / MICROSECONDS
                if not wait or left <= 0:
                    break
                await turn.wait(min(wait, left))
        except BaseException:
            await self._leave(slot, stored)
            raise
        if wait:
            await self._leave(slot, stored)
        decision = occupied(self._limit, self._lease, wait, self._clocks)
        if self._reports is not None:
            waited = (self._clocks.now() - started) / MICROSECONDS
            self._reports.decided("slot", slot.key, 1, decision, seconds=waited)
        if wait:
            raise RateLimitExceeded(decision)
        slot.renewed = now
        if self._renewals is not None:
            self._renewals.add(slot.renew)

    async def _renew(self, slot: AsyncSlot, stored: str) -> None:
        now = self._clocks.now()
        try:
            kept = await self._store.renew(stored, slot.holder, round(self._lease * MICROSECONDS))
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

    async def _leave(self, slot: AsyncSlot, stored: str) -> None:
        if self._renewals is not None:
            self._renewals.discard(slot.renew)
        try:
            await self._store.release(stored, slot.holder)
        except BackendError as error:
            # It ends by itself, with its lease: nothing for who has done what it came for.
            if self._reports is not None:
                self._reports.failed(slot.key, error)


class AsyncSlot:
    """A place of `key`, held within `async with`; made by `AsyncConcurrencyLimiter.slot`.

    `lost` is True once another may have the place, since the lease was not renewed in time. Each use has a
    `holder` of its own; `renewed` is when the store last heard of it, in microseconds.
    """

    __slots__ = ("_budget", "_limiter", "_stored", "holder", "key", "lost", "renewed")

    def __init__(self, limiter: AsyncConcurrencyLimiter, key: str, stored: str, budget: float) -> None:
        self._limiter = limiter
        self._stored = stored
        self._budget = budget
        self.key: str = key
        self.holder: str = ""
        self.lost: bool = False
        self.renewed: int = 0

    async def __aenter__(self) -> Self:
        if self.holder:
            raise ConfigurationError("slot", self.key, "that is not in use: each `with` needs one of its own")
        self.holder = uuid4().hex
        self.lost = False
        try:
            await self._limiter._enter(self, self._stored, self._budget)
        except BaseException:
            self.holder = ""
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    async def release(self) -> None:
        """Give the place back before the end of `async with`; a second time does nothing."""
        if self.holder:
            await self._limiter._leave(self, self._stored)
            self.holder = ""

    async def renew(self) -> None:
        """Tell the store that the holder is alive; this is done by itself."""
        await self._limiter._renew(self, self._stored)
