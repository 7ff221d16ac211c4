"""Loading ahead what will be asked for."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache._plan import Plan

OnProgress: TypeAlias = "Callable[[int, int], object]"


_MOST_ERRORS = 10
"""Kept of one warm-up: an exception holds on to whatever its traceback saw."""


class WarmReport(NamedTuple):
    """What a warm-up came to: values `loaded`, loads that `failed`, the `seconds` it took.

    `present` counts the calls whose value was there, or was being loaded for somebody else. `errors` has the
    first ten that failed, as pairs of the call, as it was given, and its exception; a load counts as failed
    also if a stale value answers for it, or if the store failed and has not got its value.
    """

    loaded: int
    failed: int
    seconds: float
    present: int
    errors: tuple[tuple[Any, Exception], ...] = ()


class WarmCall(NamedTuple):
    """A call to make: as it was `given`, where its value is kept, and the call itself."""

    given: Any
    slot: Slot
    function: Callable[[], Any]


class Tally:
    """Counts what each call of a warm-up came to, and reports progress."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._outcomes = {"loaded": 0, "failed": 0, "present": 0}
        self._errors: list[tuple[Any, Exception]] = []

    def count(self, call: WarmCall, outcome: str, error: Exception | None) -> None:
        """Take note of one call's outcome, and of why it failed."""
        self._outcomes[outcome] += 1
        if error is not None and len(self._errors) < _MOST_ERRORS:
            self._errors.append((call.given, error))
        if self._on_progress is not None:
            self._on_progress(sum(self._outcomes.values()), self._total)

    def report(self, seconds: float) -> WarmReport:
        """Return the report."""
        return WarmReport(seconds=seconds, errors=tuple(self._errors), **self._outcomes)


def checked_calls(
    calls: Iterable[Any], concurrency: object, on_progress: object, plan: Plan, receiver: Sequence[Any]
) -> Iterator[WarmCall]:
    """Yield what to call and where its value is kept; `ConfigurationError` or `TypeError` for nonsense.

    To be exhausted before the first load: an argument that no key can have shall not leave half a warm-up.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError("concurrency", concurrency, "as an integer >= 1")
    if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
        expected = "as a callable of (done, total), which is not async, or None"
        raise ConfigurationError("on_progress", on_progress, expected)
    if isinstance(calls, (str, bytes)) or not isinstance(calls, Iterable):
        raise ConfigurationError("calls", calls, "as an iterable of the arguments of each call")
    for call in calls:
        yield _warm_call(call, plan, receiver)


def _warm_call(call: Any, plan: Plan, receiver: Sequence[Any]) -> WarmCall:
    args, kwargs = tuple(receiver), dict[str, Any]()
    if isinstance(call, Mapping):
        kwargs = dict(cast("Mapping[str, Any]", call))
    elif isinstance(call, (tuple, list)):
        args += tuple(cast("Sequence[Any]", call))
    else:
        raise ConfigurationError("calls", call, "as tuples of arguments, such as (7,) for f(7), or dicts")
    try:
        arguments = plan.signature.arguments(*args, **kwargs)
    except TypeError as error:
        msg = f"{error}, in the call {call!r} of warm()"
        raise TypeError(msg) from None
    return WarmCall(call, plan.slot(arguments), partial(plan.function, *args, **kwargs))
