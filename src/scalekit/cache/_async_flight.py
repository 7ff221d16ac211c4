"""Single flight for tasks: as `_flight`, where each load runs in a task of its own.

So a caller that is cancelled cancels nobody else: the load goes on for those who still wait, and
is cancelled when nobody does.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.cache._flight import Flight, is_circle, loading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scalekit.cache._flight import Fill, Ident


class _TaskFlight(Flight):
    __slots__ = ("loop", "task", "waiting")

    task: asyncio.Task[Any]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.waiting = 0


class AsyncFlights:
    """The loads that run for one `AsyncCache`."""

    __slots__ = ("_flights", "landed")

    def __init__(self) -> None:
        self._flights: dict[Ident, _TaskFlight] = {}
        self.landed = 0

    async def join(self, ident: Ident, fill: Fill, *, landed: int | None) -> Any:
        """Return what the flight of `ident` brings; see `Flights.join`. Every error reaches all who wait."""
        chain = loading.get()
        flight = self._flights.get(ident)
        if flight is not None and is_circle(flight, chain):
            return await fill(missed=False)
        loop = asyncio.get_running_loop()
        # A flight of another loop cannot be awaited here, and will never end if that loop is closed.
        if flight is None or flight.loop is not loop:
            flight = self._flights[ident] = _TaskFlight(loop)
            missed = landed is not None and landed != self.landed
            flight.task = loop.create_task(self._lead(ident, flight, chain, partial(fill, missed=missed)))
            flight.task.add_done_callback(_retrieve)
        if chain:
            chain[-1].waits_for.add(flight)
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiting -= 1
            if chain:
                chain[-1].waits_for.discard(flight)
            if not flight.waiting and not flight.task.done():
                self._forget(ident, flight)  # at once: who comes now must not join what is being cancelled
                flight.task.cancel()
        return flight.task.result()

    async def _lead(
        self, ident: Ident, flight: _TaskFlight, chain: tuple[Flight, ...], fill: Callable[[], Awaitable[Any]]
    ) -> Any:
        loading.set((*chain, flight))
        try:
            return await fill()
        finally:
            self.landed += 1
            self._forget(ident, flight)

    def _forget(self, ident: Ident, flight: _TaskFlight) -> None:
        if self._flights.get(ident) is flight:
            del self._flights[ident]


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take note of a task's error even if everyone who waited for it is gone: asyncio would log it."""
    if not task.cancelled():
        task.exception()
