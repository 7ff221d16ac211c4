"""Whether a value that went through a serializer is still the same."""

from __future__ import annotations

import dataclasses
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scalekit.cache._models import is_model

if TYPE_CHECKING:
    from datetime import datetime, time

_WHOLE = frozenset({type(None), bool, int, str, bytes})
# What an object carries that says nothing of its value: what typing and pydantic note of how it was made.
_UNSAID = frozenset({"__orig_class__", "__pydantic_fields_set__"})


def same(stored: Any, read: Any) -> bool:
    """Say whether `read` equals `stored` in value and type, all the way down.

    Equality alone is not enough: True == 1, a named tuple equals a tuple, a text enum its text, -0.0
    equals 0.0, and a datetime the same instant in another time zone; and a class may compare less than it
    carries. Only an integer may come back as the equal float: a field that is annotated as float takes
    both (PEP 484). UTC is one zone, whichever object stands for it.
    """
    kind = _kind(stored)
    if kind is not type(read):
        return kind is int and type(read) is float and bool(stored == read)
    if stored is read:
        return True
    if kind in _WHOLE:
        return bool(stored == read)
    look = _look(kind)
    if look is not None:
        return bool(look(stored) == look(read))
    left, right = _parts(stored, kind), _parts(read, kind)
    if not left and not right:
        return bool(stored == read)
    return len(left) == len(right) and all(map(same, left, right))


def difference(stored: Any, read: Any) -> tuple[Any, Any]:
    """Return the innermost parts in which two values that are not the same differ."""
    kind = _kind(stored)
    if kind is type(read) and kind not in _WHOLE and _look(kind) is None:
        left, right = _parts(stored, kind), _parts(read, kind)
        if len(left) == len(right):
            for one, other in zip(left, right, strict=True):
                if not same(one, other):
                    return difference(one, other)
    return stored, read


def _kind(value: object) -> type[Any]:
    return type(value)


def _look(kind: type[Any]) -> Any:
    """Return what tells two values of `kind` apart better than `==`; None where their parts do."""
    if kind is float:
        return float.hex
    if kind.__name__ == "Decimal" and kind.__module__ == "decimal":  # to import it costs 2 ms
        return str
    # Not imported: where nobody has loaded it, or another thread is about to, none is given.
    loaded: Any = sys.modules.get("datetime")
    if hasattr(loaded, "datetime") and issubclass(kind, (loaded.datetime, loaded.time)):
        return _time
    return None


def _time(value: datetime | time) -> tuple[object, ...]:
    return value.isoformat(), value.fold, value.tzname(), value.tzinfo is None


def _parts(value: Any, kind: type[Any]) -> list[Any]:
    """Return what to compare one by one instead of `value`; nothing for what is whole."""
    if issubclass(kind, (list, tuple)):
        return [*value, *_state(value)]
    if issubclass(kind, dict):
        return [*(part for item in value.items() for part in item), *_state(value)]
    if issubclass(kind, (set, frozenset)):
        # Equal members have equal hashes, so two equal sets come in one order.
        return [*sorted(value, key=_order), *_state(value)]
    by_state = (
        dataclasses.is_dataclass(kind) or is_model(kind) or getattr(kind, "__eq__", None) is object.__eq__
    )
    if by_state or hasattr(kind, "__struct_fields__") or hasattr(kind, "__attrs_attrs__"):
        return _state(value)
    return []


def _order(member: object) -> tuple[int, str]:
    return hash(member), repr(member)


def _state(value: Any) -> list[Any]:
    """Return the names and values of all attributes, also of those that are no fields, sorted by name."""
    kind = _kind(value)
    state: Any = object.__getstate__(value)  # a dict, or a pair of one with another for slots, or None
    pair: list[dict[str, Any] | None] = list(state) if _kind(state) is tuple else [state]
    found = {name: part for attributes in pair for name, part in (attributes or {}).items()}
    return [
        part
        for name in sorted(found)
        if name not in _UNSAID and not isinstance(getattr(kind, name, None), cached_property)
        for part in (name, found[name])
    ]
