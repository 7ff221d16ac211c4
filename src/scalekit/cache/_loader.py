"""What a loader brings: values that can be kept."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_ONCE: tuple[type[object], ...] = (Awaitable, Iterator, AsyncIterator)


def loaded(load: Callable[[], Any]) -> Any:
    """Return what `load` returns; `TypeError` for what could be awaited, or read, only once."""
    value = load()
    check_lasting(value, remedy="use AsyncCache")
    return value


async def async_loaded(load: Callable[[], Any]) -> Any:
    """Return what awaiting `load()` brings; `TypeError` for what cannot be awaited, or as `loaded`."""
    pending = load()
    if not inspect.isawaitable(pending):
        msg = f"the loader returned {type(pending).__name__}, not an awaitable: use an async loader, or Cache"
        raise TypeError(msg)
    value = await pending
    check_lasting(value)
    return value


def check_all_lasting(values: Collection[Any]) -> None:
    """Raise `TypeError` if one of `values` could be awaited, or read, only once."""
    if any(issubclass(kind, _ONCE) for kind in set(map(type, values))):  # of many values there are few types
        for value in values:
            check_lasting(value)


def check_lasting(value: Any, *, remedy: str = "await it in the loader") -> None:
    """Raise `TypeError` if `value` could be awaited, or read, only once: a second caller could not use it."""
    kind: type[object] = value.__class__
    if not issubclass(kind, _ONCE):
        return
    if issubclass(kind, Awaitable):
        what = f"{kind.__name__}, an awaitable"
        if issubclass(kind, Coroutine):
            value.close()  # or the interpreter warns that nobody awaited it
            what = "a coroutine"
        msg = f"the loader returned {what}: {remedy}"
        raise TypeError(msg)
    name = f"{value.__qualname__}()" if hasattr(value, "__qualname__") else kind.__name__
    msg = f"the loader returned {name}, which can be read only once: return a list"
    raise TypeError(msg)
