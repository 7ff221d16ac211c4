"""Single flight for tasks: as `_flight`, where each load runs in a task of its own.

So a caller that is cancelled cancels nobody else: the load goes on for those who still wait, and
is cancelled when nobody does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from scalekit.cache._flight import ABSENT, Flight, is_circle, loading, wait_begins, wait_ends
from scalekit.errors import LoadTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalekit.cache._flight import Fill, FillMany, Ident


class _Load:
    """A task that loads `idents`, and how many callers wait for it."""

    __slots__ = ("idents", "loop", "task", "waiting")

    task: asyncio.Task[Mapping[Ident, Any]]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.idents: list[Ident] = []
        self.waiting = 0


class _TaskFlight(Flight):
    __slots__ = ("load",)

    def __init__(self, load: _Load, waits_for: dict[Flight, int]) -> None:
        super().__init__()
        self.waits_for = waits_for
        self.load = load


class AsyncFlights:
    """The loads that run for one `AsyncCache`."""

    __slots__ = ("_flights", "_loops", "landed")

    def __init__(self) -> None:
        self._flights: dict[Ident, _TaskFlight] = {}
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()  # that have used them
        self.landed = 0

    async def join(self, ident: Ident, fill: Fill, *, landed: int | None, timeout: float | None) -> Any:  # noqa: ASYNC109  # of the wait, not of the load
        """Return what the flight of `ident` brings; see `Flights.join`. Every error reaches all who wait."""
        missed = landed is not None and landed != self.landed

        async def fill_one(_: Sequence[Ident]) -> Mapping[Ident, Any]:
            return {ident: await fill(missed=missed)}

        found = await self.join_many([ident], fill_one, timeout=timeout)
        # A load of many may have found nothing for it, which is no answer to who asked for this one.
        return found[ident] if ident in found else await fill(missed=missed)

    async def join_many(
        self,
        idents: Sequence[Ident],
        fill: FillMany,
        *,
        timeout: float | None,  # noqa: ASYNC109  # as above
    ) -> Mapping[Ident, Any]:
        """Return what the flights of `idents` bring; see `Flights.join_many`."""
        chain = loading.get()
        flights, alone = self._board(idents, fill, chain)
        loads = {flight.load for flight in flights.values()}
        wait_begins(chain, flights.values())
        for load in loads:
            load.waiting += 1
        found: dict[Ident, Any] = {}
        try:
            if loads:
                await asyncio.wait({load.task for load in loads}, timeout=timeout)
            for ident, flight in flights.items():
                if not flight.load.task.done():
                    raise LoadTimeout(ident[0], timeout or 0.0)
                value = flight.load.task.result().get(ident, ABSENT)
                if value is not ABSENT:
                    found[ident] = value
        finally:
            wait_ends(chain, flights.values())
            for load in loads:
                self._leave(load)
        return found | (await fill(alone) if alone else {})

    def _leave(self, load: _Load) -> None:
        load.waiting -= 1
        if not load.waiting:
            self._forget(load)  # at once: who comes now must not join what is being cancelled
            if not load.loop.is_closed():  # where it is, this is the collector, ending a caller it left
                load.task.cancel()
            del load.task  # and the outcome with it: see `_flight`

    def _board(
        self, idents: Sequence[Ident], fill: FillMany, chain: tuple[Flight, ...]
    ) -> tuple[dict[Ident, _TaskFlight], list[Ident]]:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._forget_closed()
            self._loops.add(loop)
        flights: dict[Ident, _TaskFlight] = {}
        alone: list[Ident] = []
        led: list[Flight] = []
        load = _Load(loop)
        waits_for: dict[Flight, int] = {}
        for ident in idents:
            flight = self._flights.get(ident)
            if flight is not None and is_circle(flight, chain):
                alone.append(ident)
                continue
            # A flight of another loop cannot be awaited here, and will never end if that loop is closed.
            if flight is None or flight.load.loop is not loop:
                flight = self._flights[ident] = _TaskFlight(load, waits_for)
                load.idents.append(ident)
                led.append(flight)
            flights[ident] = flight
        if led:
            load.task = loop.create_task(self._lead(load, fill, (*chain, *led)))
            load.task.add_done_callback(_retrieve)
        return flights, alone

    async def _lead(self, load: _Load, fill: FillMany, chain: tuple[Flight, ...]) -> Mapping[Ident, Any]:
        loading.set(chain)
        try:
            found: Mapping[Ident, Any] = await fill(load.idents)
            return found
        finally:
            self.landed += 1
            self._forget(load)

    def _forget_closed(self) -> None:
        """Forget the flights of loops that were closed before these landed; they never will."""
        for ident, flight in list(self._flights.items()):
            if flight.load.loop.is_closed():
                self._flights.pop(ident, None)

    def _forget(self, load: _Load) -> None:
        for ident in load.idents:
            flight = self._flights.get(ident)
            if flight is not None and flight.load is load:
                del self._flights[ident]


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take note of a task's error even if everyone who waited for it is gone: asyncio would log it."""
    if not task.cancelled():
        task.exception()
