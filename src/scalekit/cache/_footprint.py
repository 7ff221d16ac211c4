"""How much memory a value takes, estimated: for a bound in bytes where nobody said what to count."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 10_000
"""Objects looked at in one value, at about 0.3 us each; what lies beyond is not counted."""

_ATOMS = frozenset({str, bytes, bytearray, int, float, complex, bool, type(None)})
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_ITERABLE = (list, tuple, set, frozenset)


def footprint(value: object) -> int:
    """Return the bytes of `value` and what it holds: items of containers, attributes of instances.

    Each object counts once, classes, modules and functions not at all. What a value shares with others
    (one object in two values, small integers) counts in each.
    """
    total = 0
    seen: set[int] = set()
    ahead = [value]
    while ahead and len(seen) < _MOST:
        item = ahead.pop()
        if id(item) in seen or isinstance(item, _SHARED):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if type(item) not in _ATOMS:
            ahead += _items(item)
            ahead.extend(_attributes(item))
    return total


def _items(value: Any) -> list[Any]:
    # Copies, since another thread may be changing it.
    if isinstance(value, dict):
        return [*value, *value.values()]
    return [*value] if isinstance(value, _ITERABLE) else []


def _attributes(value: object) -> Iterator[object]:
    if hasattr(value, "__dict__"):
        yield value.__dict__
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield getattr(value, name)
