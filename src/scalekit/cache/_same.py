"""Whether a value that went through a serializer is still the same."""

from __future__ import annotations

import dataclasses
from datetime import datetime, time
from typing import Any


def same(stored: Any, read: Any) -> bool:
    """Say whether `read` equals `stored` in value and type, all the way down.

    Equality alone is not enough: True == 1, a named tuple equals a tuple, a text enum its text, and a
    datetime the same instant in another time zone. Only an integer may come back as the equal float:
    a field that is annotated as float takes both (PEP 484).
    """
    kind = _kind(stored)
    if kind is not type(read):
        return kind is int and type(read) is float and bool(stored == read)
    left, right = _parts(stored), _parts(read)
    if left is None or right is None:
        return bool(stored == read) or (kind is float and stored != stored and read != read)  # noqa: PLR0124  # NaN
    return len(left) == len(right) and all(map(same, left, right))


def _kind(value: object) -> type[Any]:
    return type(value)


def _parts(value: Any) -> list[Any] | None:
    """Return what to compare one by one instead of `value`; None for what is whole."""
    kind = _kind(value)
    if issubclass(kind, (list, tuple)):
        return list(value)
    if issubclass(kind, dict):
        return [part for item in value.items() for part in item]
    if issubclass(kind, (set, frozenset)):
        # Equal members have equal hashes, so two equal sets come in one order.
        return sorted(value, key=_order)
    if issubclass(kind, (datetime, time)):
        return [value.isoformat(), value.fold, value.tzname()]
    return [getattr(value, name, None) for name in _fields(kind)] or None


def _order(member: object) -> tuple[int, str]:
    return hash(member), repr(member)


def _fields(kind: type[Any]) -> list[str]:
    """Return the names of the fields of a dataclass, an attrs class or a msgspec struct."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    attributes: tuple[Any, ...] = getattr(kind, "__attrs_attrs__", ())
    return [*getattr(kind, "__struct_fields__", ()), *(attribute.name for attribute in attributes)]
