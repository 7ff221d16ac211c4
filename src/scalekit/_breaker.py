"""The circuit breaker: stop asking a server that does not answer, and notice when it does again.

This file knows no clock and no server: times are handed in, outcomes are reported. States after
M. Nygard, "Release It!", chapter 5: closed (calls pass), open (calls are refused at once), half-open
(exactly one call passes, as a probe; its outcome decides).

Every admitted call carries the *generation* it was admitted in, and an outcome counts only for its
own generation. Otherwise the late failures of calls that began before the breaker opened would
reopen it after a good probe, and their late successes would close it under a dead server.

An outage costs its callers little, so nobody might notice: its beginning is logged as a warning and its
end as information, by the logger "scalekit", with or without a hook. Probes that fail in between are not.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakSet

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = 'Literal["closed", "open", "half-open"]'

_OUTAGE = "%s failed %d times in a row: the circuit breaker is open, one call every %g s tries again (%s)"

_alive: WeakSet[Breaker] = WeakSet()


def _renew_locks() -> None:
    for breaker in _alive:
        breaker.renew_lock()


if hasattr(os, "register_at_fork"):  # a lock that is held at the fork has no holder in the child
    os.register_at_fork(after_in_child=_renew_locks)


def checked_failures(given: object) -> int:
    """Return a user's `breaker_failures`; `ConfigurationError` for what is no number of failures."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigurationError("breaker_failures", given, "as an integer >= 1")
    return given


class Breaker:
    """Opens after `failures` failed calls in a row, lets one probe through every `reset` seconds.

    `backend` is what the log calls the server.

    A probe that reports nothing within `patience` seconds (default: ten times `reset`) is taken for lost,
    and the next caller probes in its place.

    Safe to share between threads. While all is well `admit` and `succeeded` take no lock.
    """

    __slots__ = (
        "__weakref__",
        "_backend",
        "_failures",
        "_generation",
        "_limit",
        "_lock",
        "_lost_at",
        "_on_change",
        "_patience",
        "_probing",
        "_reset",
        "_retry_at",
    )

    def __init__(
        self,
        backend: str,
        *,
        failures: int,
        reset: float,
        patience: float | None = None,
        on_change: Callable[[State, int], None] | None = None,
    ) -> None:
        self._backend = backend
        self._limit = failures
        self._reset = reset
        self._patience = 10 * reset if patience is None else patience
        self._on_change = on_change
        self._lock = threading.RLock()  # a finaliser may run under it, and make a call of its own
        self._generation = 0
        self._failures = 0
        self._retry_at: float | None = None  # None = closed
        self._probing = False
        self._lost_at = 0.0  # of a probe
        _alive.add(self)

    def renew_lock(self) -> None:
        """Begin with a free lock, in the child of a fork."""
        self._lock = threading.RLock()

    @property
    def state(self) -> State:
        """The state that the next call meets, save that an open breaker may be due for its probe."""
        if self._retry_at is None:
            return "closed"
        return "half-open" if self._probing else "open"

    def retry_in(self, now: float) -> float:
        """Return the seconds until the next probe may pass; 0.0 if none has to be waited for."""
        retry_at = self._retry_at
        return 0.0 if retry_at is None else max(0.0, retry_at - now)

    def refusal(self, now: float) -> str:
        """Return what to tell a caller who is refused."""
        return f"not asked, the circuit breaker is open; next probe in {self.retry_in(now):.3f} s"

    def admit(self, now: float) -> int | None:
        """Return the generation to report the outcome with, or None if the call is refused."""
        retry_at = self._retry_at
        if retry_at is None:
            return self._generation
        with self._lock:
            retry_at = self._retry_at
            if retry_at is None:  # closed in the meantime
                return self._generation
            # A probe is lost when a signal handler raises before its call can report, or in the child
            # of a fork, which inherits it without the thread. Two that only take long both have a say.
            if now < (self._lost_at if self._probing else retry_at):
                return None
            if not self._probing:
                self._probing = True
                self._generation += 1  # what was admitted before the probe has no say any more
            self._lost_at = now + self._patience
            generation, failures = self._generation, self._failures
        self._changed("half-open", failures)
        return generation

    def succeeded(self, generation: int) -> None:
        """Report that an admitted call got its answer, be it an error reply: the server lives."""
        if self._failures == 0 and self._retry_at is None:
            return
        with self._lock:
            if generation != self._generation:
                return
            closes = self._probing
            if self._retry_at is None or closes:
                self._failures = 0
                self._retry_at = None
                self._probing = False
        if closes:
            self._changed("closed", 0)
            _log("INFO", "%s answers again: the circuit breaker is closed", self._backend)

    def failed(self, generation: int, began: float, now: float, detail: str = "no answer") -> None:
        """Report that an admitted call, begun at `began`, got no answer until `now`; `detail` says why."""
        with self._lock:
            if generation != self._generation or (self._retry_at is not None and not self._probing):
                return
            self._failures += 1
            failures = self._failures
            opens = failures >= self._limit
            is_news = self._retry_at is None  # and not a probe that failed
            if opens:
                # Counted from the attempt's beginning, so that service resumes within `reset` of the
                # server's return; half of it at least, lest a deadline above `reset` never opens.
                self._retry_at = max(began + self._reset, now + self._reset / 2)
                self._probing = False
        if opens:
            self._changed("open", failures)
        if opens and is_news:
            detail = " ".join(detail.split())  # one line: a driver's text may have several
            _log("WARNING", _OUTAGE, self._backend, failures, self._reset, detail)

    def abandoned(self, generation: int) -> None:
        """Report that an admitted call ended without an outcome: its task was cancelled."""
        with self._lock:
            if self._probing and generation == self._generation:
                self._probing = False  # the next caller probes in its place, at once

    def _changed(self, state: State, failures: int) -> None:
        if self._on_change is not None:
            self._on_change(state, failures)


def _log(level: Literal["INFO", "WARNING"], text: str, *arguments: object) -> None:
    import logging  # noqa: PLC0415  # costs import time that only an outage should pay

    logging.getLogger("scalekit").log(getattr(logging, level), text, *arguments)
