"""What the blocks report while they work, and the hooks that listen.

Every face takes `on_event`, a callable of one `Event`. An event is built only when a hook is set,
so an application that does not listen pays one comparison. Hooks run inline, on the caller's
thread or task: they must be quick and must not block. A hook that raises is reported once through
`logging` and never breaks the call it observed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

__all__ = ["Counters", "Event", "Hook", "LinkEvent", "fan_out", "log_to"]


class Event:
    """One thing that happened in a block.

    `block` and `name` say what was done ("cache", "load"), `outcome` how it ended ("ok",
    "error", ...), `key` to what, and `seconds` how long it took (None where nothing was timed).
    """

    __slots__ = ("block", "key", "name", "outcome", "seconds")

    def __init__(
        self,
        block: str,
        name: str,
        *,
        outcome: str = "ok",
        key: str | None = None,
        seconds: float | None = None,
    ) -> None:
        self.block: str = block
        self.name: str = name
        self.key: str | None = key
        self.outcome: str = outcome
        self.seconds: float | None = seconds

    def fields(self) -> dict[str, Any]:
        """Return every field with its value, those of the subclass included."""
        slots = [slot for cls in reversed(type(self).__mro__) for slot in getattr(cls, "__slots__", ())]
        return {slot: getattr(self, slot) for slot in slots}

    def __repr__(self) -> str:
        shown = " ".join(f"{name}={value!r}" for name, value in self.fields().items() if value is not None)
        return f"<{type(self).__name__} {shown}>"


class LinkEvent(Event):
    """A link's circuit breaker changed its state: `outcome` is "open", "half-open" or "closed"."""

    __slots__ = ("backend", "failures")

    def __init__(self, name: str, *, outcome: str, backend: str, failures: int) -> None:
        super().__init__("link", name, outcome=outcome)
        self.backend: str = backend
        self.failures: int = failures


class Hook(Protocol):
    """What `on_event` accepts: any callable of one event."""

    def __call__(self, event: Any, /) -> object:
        """Take note of `event`; the return value is ignored."""


_WRONG = frozenset({"error", "open"})
"""Outcomes that somebody should look at."""

_Emit: TypeAlias = "Callable[[Event], None]"


def guarded(hook: Hook | None, *, parameter: str = "on_event") -> _Emit | None:
    """Wrap `hook` so that its failures are logged once and never reach the call it observes.

    `ConfigurationError`, naming `parameter`, for a coroutine function, which would never run, and for a
    class, of which each event would make an object that nobody sees.
    """
    if hook is None:
        return None
    if isinstance(hook, type):
        raise ConfigurationError(parameter, hook, f"as a hook, not its class: {hook.__name__}(...)")
    import inspect  # noqa: PLC0415  # costs import time that only those who listen should pay

    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
        raise ConfigurationError(parameter, hook, "as a plain function: nobody would await a coroutine")
    unreported = threading.Lock()  # never released: of all threads at once, one takes it

    def emit(event: Event) -> None:
        try:
            hook(event)
        except Exception:
            if unreported.acquire(blocking=False):
                import logging  # noqa: PLC0415  # costs import time that only a broken hook should pay

                logging.getLogger("scalekit.events").exception(
                    "the on_event hook %r raised on %r; further failures of it are not reported", hook, event
                )

    return emit


def fan_out(*hooks: Hook) -> Hook:
    """Return one hook that calls each of `hooks`; one that raises does not keep the others from running.

    Raises `ConfigurationError` for a hook that cannot be called, or would have to be awaited.
    """
    for hook in hooks:
        if not callable(hook):
            raise ConfigurationError("hooks", hook, "as callables of one event")
    emitters = [emit for hook in hooks if (emit := guarded(hook, parameter="hooks")) is not None]

    def emit_all(event: Event) -> None:
        for emit in emitters:
            emit(event)

    return emit_all


def log_to(logger: logging.Logger, *, level: int = 20) -> Hook:
    """Return a hook that writes each event to `logger` as one line; `level` defaults to INFO (20).

    The line has the key, if the event has one. What went wrong, an outcome "error" or "open", is written as
    WARNING if `level` is lower, and with the text of its error if there is one. The event's fields are in the
    record's attribute `scalekit`. Raises `ConfigurationError` for what is no logger, such as its name,
    and for a level that is no integer.
    """
    import logging  # noqa: PLC0415  # whoever has a logger has loaded it; the others need not

    if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        raise ConfigurationError("logger", logger, "as a logger, such as logging.getLogger('shop')")
    if isinstance(level, bool) or not isinstance(level, int):
        raise ConfigurationError("level", level, "as an integer, such as logging.INFO")

    def write(event: Event) -> None:
        wrong = event.outcome in _WRONG
        due = max(level, logging.WARNING) if wrong else level
        if not logger.isEnabledFor(due):
            return
        fields = event.fields()
        line = f"{event.block}.{event.name} {event.outcome}"
        if event.key is not None:
            line += f" {_on_one_line(event.key)}"
        error = fields.get("error") if wrong else None
        if error is not None:
            # One line, whatever a driver's error has: SQLAlchemy's has a statement on lines of its own.
            line += f": {type(error).__name__}: {' '.join(str(error).split())}"
        logger.log(due, "%s", line, extra={"scalekit": fields})

    return write


def _on_one_line(key: str) -> str:
    """Return `key`, or its `repr` if it would not stay on the line: clients may choose what is in a key."""
    return key if key.isprintable() else repr(key)


class Counters:
    """A hook that counts: how often each (block, name, outcome) happened, and the time it took.

    Safe to share between threads and between faces. Read it when the metrics endpoint is scraped.
    """

    __slots__ = ("_counts", "_lock", "_seconds")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finaliser that comes in between may count, too
        self._counts: dict[tuple[str, str, str], int] = {}
        self._seconds: dict[tuple[str, str, str], float] = {}

    def __call__(self, event: Event, /) -> None:
        """Count `event`."""
        label = (event.block, event.name, event.outcome)
        with self._lock:
            self._counts[label] = self._counts.get(label, 0) + 1
            if event.seconds is not None:
                self._seconds[label] = self._seconds.get(label, 0.0) + event.seconds

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return a copy: (block, name, outcome) to the number of such events so far."""
        with self._lock:
            return dict(self._counts)

    def seconds(self) -> Mapping[tuple[str, str, str], float]:
        """Return a copy: (block, name, outcome) to the total seconds of the events that were timed."""
        with self._lock:
            return dict(self._seconds)
