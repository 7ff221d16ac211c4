"""One load at a time per key: the first caller loads, the others wait for what it gets.

A flight is known by its key *and* the snapshot its load started from. A call that begins after an
invalidation sees another snapshot, so it can never be handed a value from before.

What deadlocks single flights elsewhere is a loader that, directly or through others, waits for
itself. `loading` holds the flights whose loaders the present context runs in (child tasks inherit
it), and `waits_for` which flights wait for which; a call that would close a circle loads by itself.

So does a finaliser's call, wherever the collector let it in: inside `_boarding` it waits for nobody, since
who would land needs that; and from boarding to leaving, all flights that its thread boarded are in `loading`.

A flight lets go of its outcome when the last who waited for it leaves. An exception knows the frames it
came through, and these know the flight: kept, they would be a circle for the garbage collector, values
and all.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar, copy_context
from enum import Enum
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from scalekit.cache._exclusive import Exclusive
from scalekit.errors import LoadTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

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
        self.waits_for: dict[Flight, int] = {}  # how many of its callers do: they come and go one by one


loading: ContextVar[tuple[Flight, ...]] = ContextVar("scalekit.cache.loading", default=())

# One lock for all caches: circles may lead through several of them.
_boarding = Exclusive()


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


def wait_begins(chain: tuple[Flight, ...], flights: Iterable[Flight]) -> None:
    """Take note that a caller whom `chain` runs for waits for `flights`."""
    if chain:
        waits_for = chain[-1].waits_for
        for flight in flights:
            waits_for[flight] = waits_for.get(flight, 0) + 1


def wait_ends(chain: tuple[Flight, ...], flights: Iterable[Flight]) -> None:
    """Take note that the caller waits no longer, which others of `chain` may still do."""
    if chain:
        waits_for = chain[-1].waits_for
        for flight in flights:
            waits_for[flight] = waits_for.get(flight, 0) - 1
            if waits_for[flight] <= 0:
                del waits_for[flight]


class _ThreadFlight(Flight):
    __slots__ = ("abandoned", "error", "landed", "traceback", "value", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self.landed = threading.Event()
        self.waiting = 0
        self.abandoned = True  # until it has an outcome
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None
        self.value: Any = None

    def ended(self, error: Exception | None, value: object) -> None:
        """Keep the outcome."""
        self.abandoned = False
        self.error, self.value = error, value
        self.traceback = None if error is None else error.__traceback__

    def let_go(self) -> None:
        """Forget the outcome, which nobody waits for."""
        self.error = self.traceback = self.value = None


class _Boarding:
    """Which flights a caller waits for, which of them it leads, and what it must load without one."""

    __slots__ = ("alone", "before", "flights", "flown", "interrupt", "led")

    def __init__(self) -> None:
        self.flights: dict[Ident, _ThreadFlight] = {}
        self.led: dict[Ident, _ThreadFlight] = {}
        self.alone: list[Ident] = []
        self.before: Token[tuple[Flight, ...]] | None = None  # what was `loading`
        self.flown = False  # whether `led` have landed, or a thread will see to it
        self.interrupt: BaseException | None = None  # what ended their load without an outcome


class Flights:
    """The loads that run for one `Cache`."""

    __slots__ = ("_flights", "_process", "landed")

    def __init__(self) -> None:
        self._flights: dict[Ident, _ThreadFlight] = {}
        self._process = os.getpid()
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

        found = self.join_many([ident], fill_one, timeout=timeout)
        # A load of many may have found nothing for it, which is no answer to who asked for this one.
        return found[ident] if ident in found else fill(missed=missed)

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
            boarding = _Boarding()
            try:
                self._board(boarding, idents, chain)
                self._lead(boarding, fill, chain, in_thread=timeout is not None)
                for ident, flight in boarding.flights.items():
                    if not flight.landed.wait(None if ends is None else max(0.0, ends - monotonic())):
                        raise LoadTimeout(ident[0], timeout or 0.0)
                    if boarding.interrupt is not None:
                        raise boarding.interrupt
                    if flight.error is not None:  # as it was left: each who raises it adds his own frames
                        raise flight.error.with_traceback(flight.traceback)
                    if not flight.abandoned and flight.value is not ABSENT:
                        found[ident] = flight.value
                idents = [ident for ident, flight in boarding.flights.items() if flight.abandoned]
            finally:
                self._leave(boarding, chain)
            if boarding.alone:
                found |= fill(boarding.alone)
        return found

    def _board(self, boarding: _Boarding, idents: Sequence[Ident], chain: tuple[Flight, ...]) -> None:
        waits_for: dict[Flight, int] = {}  # of all that one load leads: what it waits for, they all wait for
        with _boarding as outside:
            if not outside:
                boarding.alone.extend(idents)
                return
            if self._process != os.getpid():  # a fork has copied the flights, but not who would land them
                self._flights, self._process = {}, os.getpid()
            for ident in idents:
                flight = self._flights.get(ident)
                if flight is None:
                    flight = boarding.led[ident] = self._flights[ident] = _ThreadFlight()
                    flight.waits_for = waits_for
                elif is_circle(flight, chain):
                    boarding.alone.append(ident)
                    continue
                flight.waiting += 1
                boarding.flights[ident] = flight
            wait_begins(chain, boarding.flights.values())
            # The last is who waits for what a finaliser waits for: those that are led, if there are any.
            boarding.before = loading.set((*chain, *boarding.flights.values(), *boarding.led.values()))

    def _leave(self, boarding: _Boarding, chain: tuple[Flight, ...]) -> None:
        if not boarding.flown:  # interrupted before the load began, and others wait for it
            self._land(boarding)
        with _boarding:
            wait_ends(chain, boarding.flights.values())
            for flight in boarding.flights.values():
                flight.waiting -= 1
                if not flight.waiting:
                    flight.let_go()
        boarding.flights, boarding.interrupt = {}, None
        if boarding.before is not None:
            loading.reset(boarding.before)

    def _lead(
        self, boarding: _Boarding, fill: FillMany, chain: tuple[Flight, ...], *, in_thread: bool
    ) -> None:
        if not boarding.led:
            return
        if in_thread:
            run, load = copy_context().run, partial(self._load, boarding, fill, chain)
            threading.Thread(target=run, args=(load,), name="scalekit-load", daemon=True).start()
            boarding.flown = True
            return
        self._load(boarding, fill, chain)
        if boarding.interrupt is not None:
            raise boarding.interrupt

    def _load(self, boarding: _Boarding, fill: FillMany, chain: tuple[Flight, ...]) -> None:
        """Run `fill` for the flights that are led. Its outcome is left in them, for each caller to take."""
        led = boarding.led
        context = loading.set((*chain, *led.values()))
        try:
            found = fill(list(led))
            for ident, flight in led.items():
                flight.ended(None, found.get(ident, ABSENT))
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            for flight in led.values():
                flight.ended(error, None)
        except BaseException as interrupt:  # noqa: BLE001  # the leader raises it
            boarding.interrupt = interrupt
        finally:
            loading.reset(context)
            self._land(boarding)

    def _land(self, boarding: _Boarding) -> None:
        boarding.flown = True
        with _boarding:
            self.landed += bool(boarding.led)
            for ident, flight in boarding.led.items():
                if self._flights.get(ident) is flight:  # not so in a fork of the process that it began in
                    del self._flights[ident]
                if not flight.waiting:
                    flight.let_go()
        for flight in boarding.led.values():
            flight.landed.set()
