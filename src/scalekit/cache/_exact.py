"""Which values need no second look: they are exactly of their type, so msgspec gives them back as they are.

What a value looks like after a round trip is known without one if every part of it has exactly the class
that its annotation names, and these classes do nothing of their own when an object is made. `exactly` makes
that test from the description of a type; what it cannot vouch for, it does not let through.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from operator import attrgetter, contains
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[Any], bool]
    Known = dict[int, list["_Exact"]]

# What says what a type consists of. Anything else in a description narrows it, and only decoding tells.
_PARTS = frozenset({"cls", "fields", "item_type", "item_types", "key_type", "value_type", "types", "values"})
_NEUTRAL = _PARTS | {"tag", "tag_field", "array_like", "forbid_unknown_fields"}
_PLAIN_KEYS: frozenset[type[Any]] = frozenset({type(None), bool, int, float, str, bytes})
_PLAIN = _PLAIN_KEYS | {list, dict}


class _Exact(NamedTuple):
    """What passes: objects of exactly one of `kinds`, and for some of these a `further` test."""

    kinds: frozenset[type[Any]] = frozenset()
    further: Test | None = None

    def every(self) -> Test:
        """Return the test for all values in a container, which it iterates twice."""
        fit, further = self.kinds.issuperset, self.further
        if further is None:
            return lambda values: fit(map(type, values))
        return lambda values: fit(map(type, values)) and all(map(further, values))


def exactly(description: Any) -> Test:
    """Return the test for values of the type that `description` (of `msgspec.inspect`) describes.

    It is for values that msgspec has encoded: what that refuses, as a cycle or an integer of 65 bits, is not
    looked for again.
    """
    kinds, further = _exact(description, {})

    def test(value: Any) -> bool:
        return type(value) in kinds and (further is None or further(value))

    return test


def _exact(node: Any, known: Known) -> _Exact:
    make = _MAKERS.get(type(node).__name__)
    if make is None or any(getattr(node, f) is not None for f in node.__struct_fields__ if f not in _NEUTRAL):
        return _Exact()
    return make(node, known)


def _only(kind: type[Any], further: Test | None = None) -> _Exact:
    return _Exact(frozenset({kind}), further)


def _leaf(kind: type[Any]) -> Callable[[Any, Known], _Exact]:
    return lambda _node, _known: _only(kind)


def _time(kind: type[Any]) -> Callable[[Any, Known], _Exact]:
    def without_zone(value: Any) -> bool:
        return (value.tzinfo is UTC or value.tzinfo is None) and not value.fold

    return lambda _node, _known: _only(kind, without_zone)


def _array(kind: type[Any]) -> Callable[[Any, Known], _Exact]:
    return lambda node, known: _only(kind, _exact(node.item_type, known).every())


def _any(_node: Any, _known: Known) -> _Exact:
    return _Exact(_PLAIN, _plain)


def _plain(value: Any) -> bool:
    level: list[Any] = [value]
    while level:  # by levels: a set of the types of many values costs a tenth of a look at each
        kinds: set[type[Any]] = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        inner: list[Any] = []
        if list in kinds:
            lists: list[list[Any]] = [part for part in level if type(part) is list]
            inner += chain.from_iterable(lists)
        if dict in kinds:
            dicts: list[dict[Any, Any]] = [part for part in level if type(part) is dict]
            if not _PLAIN_KEYS.issuperset(map(type, chain.from_iterable(dicts))):
                return False
            inner += chain.from_iterable(part.values() for part in dicts)
        level = inner
    return True


def _custom(node: Any, known: Known) -> _Exact:
    return _any(node, known) if node.cls is object else _Exact()


def _enum(node: Any, _known: Known) -> _Exact:
    kind: type[enum.Enum] = node.cls
    by_value = not issubclass(kind, enum.Flag) and all(
        type(member.value) in {int, str} and kind(member.value) is member for member in kind
    )
    return _only(kind) if by_value else _Exact()


def _literal(node: Any, _known: Known) -> _Exact:
    allowed: frozenset[Any] = frozenset((value.__class__, value) for value in node.values)

    def test(value: Any) -> bool:
        return (type(value), value) in allowed

    return _Exact(frozenset(kind for kind, _ in allowed), test)


def _union(node: Any, known: Known) -> _Exact:
    parts = [_exact(part, known) for part in node.types]
    if any(part.further is _plain for part in parts):
        return _Exact(_PLAIN, _plain)
    tests = {kind: part.further for part in parts for kind in part.kinds}
    if len(tests) < sum(len(part.kinds) for part in parts):
        return _Exact()  # one class, two meanings

    def test(value: Any) -> bool:
        further = tests[type(value)]
        return further is None or further(value)

    return _Exact(frozenset(tests), test if any(tests.values()) else None)


def _row(parts: list[_Exact]) -> Test:
    kinds = [part.kinds for part in parts]
    deeper = [(place, part.further) for place, part in enumerate(parts) if part.further is not None]

    def test(values: Any) -> bool:
        if not all(map(contains, kinds, map(type, values))):
            return False
        for place, further in deeper:  # noqa: SIM110  # a generator would cost as much as the tests
            if not further(values[place]):
                return False
        return True

    return test


def _tuple(node: Any, known: Known) -> _Exact:
    row = _row([_exact(part, known) for part in node.item_types])
    size = len(node.item_types)
    return _only(tuple, lambda value: len(value) == size and row(value))


def _dict(node: Any, known: Known) -> _Exact:
    keys, values = _exact(node.key_type, known).every(), _exact(node.value_type, known).every()
    return _only(dict, lambda value: keys(value) and values(value.values()))


def _typed_dict(node: Any, known: Known) -> _Exact:
    parts = {field.name: _exact(field.type, known) for field in node.fields}
    required = frozenset(field.name for field in node.fields if field.required)

    def test(value: Any) -> bool:
        if not required <= value.keys() <= parts.keys():
            return False
        return _row([parts[name] for name in value])(list(value.values()))

    return _only(dict, test)


def _named_tuple(node: Any, known: Known) -> _Exact:
    cls: Any = get_origin(node.cls) or node.cls
    if tuple not in cls.__bases__ or cls.__dictoffset__:  # a subclass of one: it may have a __new__
        return _Exact()
    return _only(cls, _row([_exact(field.type, known) for field in node.fields]))


def _object(node: Any, known: Known) -> _Exact:
    cls: Any = get_origin(node.cls) or node.cls
    names: list[str] = [field.name for field in node.fields]
    slots = [name for name in names if _is_slot(cls, name)]
    if not _is_plain_slots(cls, names) or not (_is_struct(cls) or _is_dataclass(cls, names)):
        return _Exact()
    row = _row([_exact(field.type, known) for field in node.fields])
    # One name more: of a single one, an attrgetter gives no tuple.
    several = attrgetter(*names, "__class__") if names else attrgetter("__class__", "__class__")
    size = len(names) - len(slots)

    def test(value: Any) -> bool:
        return row(several(value))

    def test_all(value: Any) -> bool:
        # More attributes than fields would be lost.
        return len(value.__dict__) == size and row(several(value))

    return _only(cls, test_all if cls.__dictoffset__ else test)


def _is_slot(cls: Any, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), MemberDescriptorType)


def _is_plain_slots(cls: Any, names: list[str]) -> bool:
    """Whether an object has no room for more than its fields but its `__dict__`, and no code when made."""
    slots = {name for base in cls.__mro__ for name in base.__dict__.get("__slots__", ())}
    made = not hasattr(cls, "__post_init__") and cls.__getattribute__ is object.__getattribute__
    return made and slots <= {*names, "__dict__", "__weakref__"}


def _is_struct(cls: Any) -> bool:
    config = getattr(cls, "__struct_config__", None)
    return config is not None and not config.omit_defaults


def _is_dataclass(cls: Any, names: list[str]) -> bool:
    made_by = cls.__dict__.get("__dataclass_params__")
    frozen = made_by is not None and made_by.frozen
    return (
        dataclasses.is_dataclass(cls)
        and cls.__new__ is object.__new__
        and (frozen or cls.__setattr__ is object.__setattr__)
        and all(
            _is_slot(cls, n) or not hasattr(inspect.getattr_static(cls, n, None), "__set__") for n in names
        )
    )


def _recursive(make: Callable[[Any, Known], _Exact]) -> Callable[[Any, Known], _Exact]:
    """Return `make` for objects, whose descriptions may contain themselves."""

    def made(node: Any, known: Known) -> _Exact:
        found = known.get(id(node))
        if found is None:
            found = known[id(node)] = []
            found.append(make(node, known))
        if found:
            return found[0]
        cls: Any = get_origin(node.cls) or node.cls
        waiting = found

        def later(value: Any) -> bool:
            further = waiting[0].further
            return further is not None and further(value)

        return _only(dict if make is _typed_dict else cls, later)

    return made


_MAKERS: dict[str, Callable[[Any, Known], _Exact]] = {
    "Metadata": lambda node, known: _exact(node.type, known),
    "NoneType": _leaf(type(None)),
    "BoolType": _leaf(bool),
    "IntType": _leaf(int),
    "FloatType": _leaf(float),
    "StrType": _leaf(str),
    "BytesType": _leaf(bytes),
    "DecimalType": _leaf(Decimal),
    "UUIDType": _leaf(UUID),
    "DateType": _leaf(date),
    "TimeDeltaType": _leaf(timedelta),
    "DateTimeType": _time(datetime),
    "TimeType": _time(time),
    "AnyType": _any,
    "CustomType": _custom,
    "EnumType": _enum,
    "LiteralType": _literal,
    "UnionType": _union,
    "ListType": _array(list),
    "VarTupleType": _array(tuple),
    "SetType": _array(set),
    "FrozenSetType": _array(frozenset),
    "TupleType": _tuple,
    "DictType": _dict,
    "TypedDictType": _recursive(_typed_dict),
    "NamedTupleType": _recursive(_named_tuple),
    "DataclassType": _recursive(_object),
    "StructType": _recursive(_object),
}
