"""What the two links are configured with, checked before anything is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit._breaker import Breaker
from scalekit._time import seconds
from scalekit.errors import ConfigurationError
from scalekit.events import LinkEvent, guarded
from scalekit.redis._failure import BACKEND

if TYPE_CHECKING:
    from scalekit._breaker import State
    from scalekit._time import Duration
    from scalekit.events import Hook


def breaker(*, breaker_failures: int, breaker_reset: Duration, on_event: Hook | None) -> Breaker:
    """Return the circuit breaker that the options describe."""
    if isinstance(breaker_failures, bool) or not isinstance(breaker_failures, int) or breaker_failures < 1:
        raise ConfigurationError("breaker_failures", breaker_failures, "an integer >= 1")
    if on_event is not None and not callable(on_event):
        raise ConfigurationError("on_event", on_event, "a callable of one event, or None")
    emit = guarded(on_event)

    def report(state: State, failures: int) -> None:
        if emit is not None:
            emit(LinkEvent("breaker", outcome=state, backend=BACKEND, failures=failures))

    return Breaker(failures=breaker_failures, reset=seconds(breaker_reset, "breaker_reset"), on_change=report)


def client_from_url(client_class: Any, url: str) -> Any:
    """Return a redis-py client for `url`; redis-py's complaint about it becomes a `ConfigurationError`."""
    try:
        return client_class.from_url(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError("url", url, f"such as 'redis://host:6379/0' ({error})") from error
