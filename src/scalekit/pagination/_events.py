"""What the pagination block reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError, InvalidCursor, OffsetTooDeep
from scalekit.events import Event, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from scalekit._time import Clock
    from scalekit.events import Hook


class PageEvent(Event):
    """A page was asked for.

    `name` is "page", "last" or "offset"; `outcome` is "ok", "refused" (the client's cursor or page
    number) or "error"; `items` is how many rows the page has, None without a page.
    """

    __slots__ = ("items",)

    def __init__(self, name: str, *, outcome: str, seconds: float, items: int | None) -> None:
        super().__init__("pagination", name, outcome=outcome, seconds=seconds)
        self.items: int | None = items


def listening(on_event: Hook | None) -> Callable[[Event], None] | None:
    """Return the guarded hook; raise `ConfigurationError` for one that cannot be called."""
    if on_event is not None and not callable(on_event):
        raise ConfigurationError("on_event", on_event, "to be a callable of one event, or None")
    return guarded(on_event)


class Observed:
    """Times the making of one page and emits its event, also when it fails."""

    __slots__ = ("_clock", "_emit", "_name", "_started", "items")

    def __init__(self, emit: Callable[[Event], None], name: str, clock: Clock) -> None:
        self._emit = emit
        self._name = name
        self.items: int | None = None
        self._clock = clock
        self._started = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        outcome = "ok"
        if exc is not None:
            outcome = "refused" if isinstance(exc, (InvalidCursor, OffsetTooDeep)) else "error"
        seconds = self._clock() - self._started
        self._emit(PageEvent(self._name, outcome=outcome, seconds=seconds, items=self.items))
