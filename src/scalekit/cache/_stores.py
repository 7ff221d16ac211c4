"""Which clocks, hooks and functions a face accepts."""

from __future__ import annotations

import inspect
from typing import Any

from scalekit.errors import ConfigurationError


def check_callable(value: Any, parameter: str, expected: str) -> None:
    """Raise `ConfigurationError` unless `value` can be called."""
    if not callable(value):
        raise ConfigurationError(parameter, value, expected)


def check_function(function: object) -> None:
    """Raise `TypeError` for what `Cache` cannot cache: coroutine functions and generators."""
    _check_function(function, is_async=False)


def async_check_function(function: object) -> None:
    """Raise `TypeError` for what `AsyncCache` cannot cache: anything but a coroutine function."""
    _check_function(function, is_async=True)


def _check_function(function: object, *, is_async: bool) -> None:
    for kind in (classmethod, staticmethod):
        if isinstance(function, kind):
            msg = f"put @{kind.__name__} above @cached: cached() needs the function itself"
            raise TypeError(msg)
    name = getattr(function, "__qualname__", None)
    if not callable(function) or name is None or isinstance(function, type):
        raise ConfigurationError("function", function, "as a function; call cached(ttl=...) before it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = f"{name}() makes an iterator, which can be read only once: return a list"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(function) is not is_async:
        this, other = ("AsyncCache", "Cache") if is_async else ("Cache", "AsyncCache")
        msg = f"{name}() is {'not ' * is_async}async: {this} cannot cache it, use {other}"
        raise TypeError(msg)
