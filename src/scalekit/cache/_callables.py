"""Which clocks, hooks and functions a face accepts."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Binds: TypeAlias = "type[classmethod[Any, Any, Any] | staticmethod[Any, Any]]"


class Accepted(NamedTuple):
    """A function to cache, and which decorator says how it binds: None if the function itself does."""

    function: Callable[..., Any]
    binds: Binds | None = None


def check_callable(value: Any, parameter: str, expected: str) -> None:
    """Raise `ConfigurationError` unless `value` can be called."""
    if not callable(value):
        raise ConfigurationError(parameter, value, expected)


def check_fits(
    given: Callable[..., object],
    parameter: str,
    expected: str,
    positional: Collection[object],
    keywords: Mapping[str, object],
) -> None:
    """Raise `ConfigurationError` for a callable, `given` as `parameter`, that cannot be called so."""
    try:
        theirs = inspect.signature(given)
    except (TypeError, ValueError):  # a builtin may not tell
        return
    try:
        theirs.bind(*positional, **keywords)
    except TypeError as error:
        raise ConfigurationError(parameter, given, f"{expected} ({error})") from None


def accepted(function: Any) -> Accepted:
    """Return what `Cache` shall cache; `TypeError` for what it cannot: coroutine functions, generators."""
    return _accepted(function, is_async=False)


def async_accepted(function: Any) -> Accepted:
    """Return what `AsyncCache` shall cache; `TypeError` for anything but a coroutine function."""
    return _accepted(function, is_async=True)


def _accepted(function: Any, *, is_async: bool) -> Accepted:
    for kind in (classmethod, staticmethod):
        if isinstance(function, kind):
            inner: Any = cast("Any", function).__func__
            return Accepted(_checked(inner, is_async=is_async), kind)
    return Accepted(_checked(function, is_async=is_async))


def _checked(function: Any, *, is_async: bool) -> Callable[..., Any]:
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError("function", function, "as a function; call cached(ttl=...) before it")
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise ConfigurationError(
            "function",
            function,
            "with a name for its keys: a partial or a callable object has none, so use a def that calls it",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = f"{name}() makes an iterator, which can be read only once: return a list"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(function) is not is_async:
        this, other = ("AsyncCache", "Cache") if is_async else ("Cache", "AsyncCache")
        msg = f"{name}() is {'not ' * is_async}async: {this} cannot cache it, use {other}"
        raise TypeError(msg)
    checked: Callable[..., Any] = function
    return checked
