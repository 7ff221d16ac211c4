"""One load at a time per key: the first caller loads, the others wait for what it gets.

A flight is known by its key *and* the snapshot its load started from. A call that begins after an
invalidation sees another snapshot, so it can never be handed a value from before.

What deadlocks single flights elsewhere is a loader that, directly or through others, waits for
itself. `loading` holds the flights whose loaders the present context runs in (child tasks inherit
it), and `waits_for` which flights wait for which; a call that would close a circle loads by itself.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from scalekit.errors import LoadTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalekit.cache._entry import Snapshot

Ident: TypeAlias = "tuple[str, Snapshot]"


class Fill(Protocol):
    """Loads a value and stores it; if another's may have been `missed`, looks into the store first."""

    def __call__(self, *, missed: bool) -> Any: ...


class FillMany(Protocol):
    """Loads the values of several idents and stores them; what there is no value for it leaves out."""

    def __call__(self, idents: Sequence[Ident], /) -> Any: ...


class _Absence(Enum):
    ABSENT = "the load brought nothing for this ident"


ABSENT: Literal[_Absence.ABSENT] = _Absence.ABSENT


class Flight:
    """A load that others may wait for, and the flights it waits for itself."""

    __slots__ = ("waits_for",)

    def __init__(self) -> None:
        self.waits_for: set[Flight] = set()


loading: ContextVar[tuple[Flight, ...]] = ContextVar("scalekit.cache.loading", default=())

# One lock for all caches: circles may lead through several of them.
_boarding = threading.RLock()


def is_circle(flight: Flight, chain: tuple[Flight, ...]) -> bool:
    """Whether `flight` cannot end before one of `chain`, so that none of `chain` may wait for it."""
    seen: set[Flight] = set()
    ahead = [flight]
    while ahead:
        flight = ahead.pop()
        if flight in chain:
            return True
        if flight not in seen:
            seen.add(flight)
            ahead.extend(flight.waits_for)
    return False


class _ThreadFlight(Flight):
    __slots__ = ("abandoned", "error", "landed", "value")

    def __init__(self) -> None:
        super().__init__()
        self.landed = threading.Event()
        self.abandoned = False
        self.error: Exception | None = None
        self.value: Any = None


class Flights:
    """The loads that run for one `Cache`."""

    __slots__ = ("_flights", "landed")

    def __init__(self) -> None:
        self._flights: dict[Ident, _ThreadFlight] = {}
        self.landed = 0  # how many have ended: who reads a store notes it, to learn what he has missed

    def join(self, ident: Ident, fill: Fill, *, landed: int | None, timeout: float | None) -> Any:
        """Return what the flight of `ident` brings; if none is under way, that is what `fill` returns.

        `fill` is told whether flights have ended since `landed` was noted: then the value may be in
        the store by now (with None for `landed`, that is of no interest). An `Exception` of `fill`
        reaches everyone who waits; anything else (an interrupt of the leading thread) is the
        leader's own, and one of those who wait takes over. With a `timeout`, in seconds, `fill` runs in
        a thread of its own, and a caller that has waited for so long gets `LoadTimeout`.
        """
        missed = landed is not None and landed != self.landed

        def fill_one(_: Sequence[Ident]) -> Mapping[Ident, Any]:
            return {ident: fill(missed=missed)}

        return self.join_many([ident], fill_one, timeout=timeout)[ident]

    def join_many(
        self, idents: Sequence[Ident], fill: FillMany, *, timeout: float | None
    ) -> Mapping[Ident, Any]:
        """Return what the flights of `idents` bring, as `join` does; those not under way are one load.

        `fill` is given the idents to load, and returns what it found for them. What it did not find is
        absent here, too.
        """
        chain = loading.get()
        ends = None if timeout is None else monotonic() + timeout
        found: dict[Ident, Any] = {}
        while idents:
            boarding = self._board(idents, chain)
            try:
                self._lead(boarding, fill, chain, in_thread=timeout is not None)
                for ident, flight in boarding.flights.items():
                    if not flight.landed.wait(None if ends is None else max(0.0, ends - monotonic())):
                        raise LoadTimeout(ident[0], timeout or 0.0)
                    if flight.error is not None:
                        raise flight.error
            finally:
                if chain:
                    chain[-1].waits_for.difference_update(boarding.flights.values())
            if boarding.alone:
                found |= fill(boarding.alone)
            idents = [ident for ident, flight in boarding.flights.items() if flight.abandoned]
            found |= {
                ident: flight.value
                for ident, flight in boarding.flights.items()
                if not flight.abandoned and flight.value is not ABSENT
            }
        return found

    def _board(self, idents: Sequence[Ident], chain: tuple[Flight, ...]) -> _Boarding:
        boarding = _Boarding({}, [], [])
        waits_for: set[Flight] = set()  # of all that one load leads: what it waits for, they all wait for
        with _boarding:
            for ident in idents:
                flight = self._flights.get(ident)
                if flight is None:
                    flight = self._flights[ident] = _ThreadFlight()
                    flight.waits_for = waits_for
                    boarding.led.append(ident)
                elif is_circle(flight, chain):
                    boarding.alone.append(ident)
                    continue
                boarding.flights[ident] = flight
            if chain:
                chain[-1].waits_for.update(boarding.flights.values())
        return boarding

    def _lead(
        self, boarding: _Boarding, fill: FillMany, chain: tuple[Flight, ...], *, in_thread: bool
    ) -> None:
        if not boarding.led:
            return
        led = {ident: boarding.flights[ident] for ident in boarding.led}
        for flight in led.values():
            flight.abandoned = True  # until it has an outcome
        if not in_thread:
            self._load(led, fill, chain)
            return
        thread = threading.Thread(
            target=copy_context().run, args=(self._load, led, fill, chain), name="scalekit-load", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: nobody will ever land these
            self._land(led)
            raise

    def _load(self, led: Mapping[Ident, _ThreadFlight], fill: FillMany, chain: tuple[Flight, ...]) -> None:
        """Run `fill` for the flights `led`. An `Exception` is left in them, for each caller to raise."""
        context = loading.set((*chain, *led.values()))
        try:
            found = fill(list(led))
            for ident, flight in led.items():
                flight.value = found.get(ident, ABSENT)
                flight.abandoned = False
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            for flight in led.values():
                flight.error = error
                flight.abandoned = False
        finally:
            loading.reset(context)
            self._land(led)

    def _land(self, led: Mapping[Ident, _ThreadFlight]) -> None:
        with _boarding:
            self.landed += 1
            for ident in led:
                del self._flights[ident]
        for flight in led.values():
            flight.landed.set()


class _Boarding(NamedTuple):
    """Which flights a caller waits for, which of them it leads, and what it must load without one."""

    flights: dict[Ident, _ThreadFlight]
    led: list[Ident]
    alone: list[Ident]
