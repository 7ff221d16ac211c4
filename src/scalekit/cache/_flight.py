"""One load at a time per key: the first caller loads, the others wait for what it gets.

A flight is known by its key *and* the snapshot its load started from. A call that begins after an
invalidation sees another snapshot, so it can never be handed a value from before.

What deadlocks single flights elsewhere is a loader that, directly or through others, waits for
itself. `loading` holds the flights whose loaders the present context runs in (child tasks inherit
it), and `waits_for` which flights wait for which; a call that would close a circle loads by itself.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._entry import Snapshot

Ident: TypeAlias = "tuple[str, Snapshot]"


class Fill(Protocol):
    """Loads a value and stores it; if another's may have been `missed`, looks into the store first."""

    def __call__(self, *, missed: bool) -> Any: ...


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

    def join(self, ident: Ident, fill: Fill, *, landed: int | None) -> Any:
        """Return what the flight of `ident` brings; if none is under way, that is what `fill` returns.

        `fill` is told whether flights have ended since `landed` was noted: then the value may be in
        the store by now (with None for `landed`, that is of no interest). An `Exception` of `fill`
        reaches everyone who waits; anything else (an interrupt of the leading thread) is the
        leader's own, and one of those who wait takes over.
        """
        chain = loading.get()
        while True:
            with _boarding:
                flight = self._flights.get(ident)
                if flight is not None and is_circle(flight, chain):
                    break
                leads = flight is None
                flight = flight or self._flights.setdefault(ident, _ThreadFlight())
                if chain:
                    chain[-1].waits_for.add(flight)
            try:
                if leads:
                    missed = landed is not None and landed != self.landed
                    return self._lead(ident, flight, chain, partial(fill, missed=missed))
                flight.landed.wait()
            finally:
                if chain:
                    chain[-1].waits_for.discard(flight)
            if flight.error is not None:
                raise flight.error
            if not flight.abandoned:
                return flight.value
        return fill(missed=False)

    def _lead(
        self, ident: Ident, flight: _ThreadFlight, chain: tuple[Flight, ...], fill: Callable[[], Any]
    ) -> Any:
        context = loading.set((*chain, flight))
        flight.abandoned = True
        try:
            flight.value = fill()
            flight.abandoned = False
        except Exception as error:
            flight.abandoned = False
            flight.error = error
            raise
        finally:
            loading.reset(context)
            with _boarding:
                self.landed += 1
                del self._flights[ident]
            flight.landed.set()
        return flight.value
