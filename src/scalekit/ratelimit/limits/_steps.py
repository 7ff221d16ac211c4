"""What a call asks of a storage of limits, step by step, whether its methods are awaited or not.

Each step is a call of a method; what it returned is sent back; the generator returns the answer.
"""

from __future__ import annotations

import time
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from scalekit.errors import BackendError, BackendTimeout
from scalekit.ratelimit.limits._stored import stored_key
from scalekit.ratelimit.limits._terms import counter_key
from scalekit.ratelimit.limits._verdicts import of_counter, of_fixed, of_moving

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from scalekit.ratelimit._quota import Verdict
    from scalekit.ratelimit.limits._terms import Asked, Terms

T = TypeVar("T")
Steps: TypeAlias = "Generator[Callable[[Any], Any], Any, T]"


def hit(asked: Asked) -> Steps[Verdict]:
    """Consume the cost, or nothing."""
    _, key, units, window, cost = asked
    admitted = False
    if asked.kind == "fixed":
        # A counter takes nothing back: it is asked first, so that a denial consumes nothing.
        used: int = yield methodcaller("get", key)
        if used + cost <= units:
            used = yield methodcaller("incr", key, window, amount=cost)
            admitted = used <= units
        return of_fixed(asked, used, (yield from _ends(key)), admitted=admitted)
    if asked.kind == "moving":
        if cost <= units:
            admitted = yield methodcaller("acquire_entry", key, units, window, amount=cost)
        return of_moving(asked, *(yield from _moving(asked)), admitted=bool(admitted))
    if cost <= units:
        admitted = yield methodcaller("acquire_sliding_window_entry", key, units, window, amount=cost)
    counted = yield methodcaller("get_sliding_window", key, window)
    return of_counter(asked, counted, admitted=bool(admitted))


def peek(asked: Asked) -> Steps[Verdict]:
    """Consume nothing."""
    if asked.kind == "fixed":
        used: int = yield methodcaller("get", asked.key)
        return of_fixed(asked, used, (yield from _ends(asked.key)))
    if asked.kind == "moving":
        return of_moving(asked, *(yield from _moving(asked)))
    return of_counter(asked, (yield methodcaller("get_sliding_window", asked.key, asked.window)))


def reset(key: str, terms: Terms) -> Steps[None]:
    """Clear whatever the storage may hold of `key`."""
    yield methodcaller("clear", stored_key("fixed", key))
    if terms.moving:
        yield methodcaller("clear", stored_key("moving", key))
    for window in tuple(terms.windows):
        yield methodcaller("clear_sliding_window", counter_key(key, window), window)


def _ends(key: str) -> Steps[float]:
    expiry: float = yield methodcaller("get_expiry", key)
    return expiry - time.time()


def _moving(asked: Asked) -> Steps[tuple[int, float]]:
    oldest, used = yield methodcaller("get_moving_window", asked.key, asked.units, asked.window)
    return used, oldest + asked.window - time.time() if used else 0.0  # of no units MongoDB tells no time


def driver_error(error: Exception) -> Exception:
    """Return what a storage that wraps its driver's errors (`wrap_exceptions=True`) has wrapped."""
    wrapped = getattr(error, "storage_error", None)
    return wrapped if isinstance(wrapped, Exception) else error


def backend_error(storage: object, operation: str, error: Exception) -> BackendError:
    """Return what to raise for an error of the driver."""
    # Drivers share no base class for it.
    late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
    detail = f"{type(error).__name__}: {error}"
    return (BackendTimeout if late else BackendError)(type(storage).__name__, operation, detail)
