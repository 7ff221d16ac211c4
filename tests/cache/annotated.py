"""Annotations with values for them, made at random, and an oracle that shares nothing with what it judges."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict

import msgspec
from hypothesis import strategies as st

Money = NewType("Money", Decimal)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
_numbers = itertools.count()


class Suit(enum.Enum):
    HEARTS = "h"
    SPADES = "s"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    READ = "r"
    WRITE = "w"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


UTC_TIMES = st.datetimes(timezones=st.just(UTC))


def unfolded(value: Any) -> Any:
    """MessagePack does not tell the second of two equal wall clock times."""
    return value.replace(fold=0)


# Leaves: an annotation, and values that are exactly of it.
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, INTEGERS),
    (bool, st.booleans()),
    (float, st.floats()),
    (float, st.floats() | st.integers(-(2**53), 2**53)),
    (str, TEXT),
    (bytes, st.binary(max_size=8)),
    (type(None), st.none()),
    (Decimal, st.decimals()),
    (Money, st.decimals(allow_nan=False)),
    (uuid.UUID, st.uuids()),
    (date, st.dates()),
    (datetime, (st.datetimes() | UTC_TIMES).map(unfolded)),
    (time, st.times().map(unfolded)),
    (timedelta, st.timedeltas()),
    (Suit, st.sampled_from(Suit)),
    (Level, st.sampled_from(Level)),
    (Mode, st.sampled_from(Mode)),
    (Rights, st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE])),
    (Literal["a", 3], st.sampled_from(["a", 3])),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 9)),
    (Annotated[str, "a note"], TEXT),
    (int | str | None, INTEGERS | TEXT | st.none()),
    (float | None, st.floats() | st.none()),
]
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats() | TEXT | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT | INTEGERS | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)
LEAVES.append((Any, PLAIN))
# As keys and members of sets: what is hashable, and equal to itself.
KEYS = [
    (kind, values)
    for kind, values in LEAVES
    if kind in {int, str, bytes, uuid.UUID, date, Suit, Level, Mode, bool, type(None)}
]

Case = tuple[Any, st.SearchStrategy[Any]]


def cases() -> st.SearchStrategy[Case]:
    """Annotations with the strategy for their values."""
    return st.recursive(st.sampled_from(LEAVES), _containers, max_leaves=5)


def typed_values() -> st.SearchStrategy[tuple[Any, Any]]:
    """An annotation with one value of it."""
    return cases().flatmap(lambda case: st.tuples(st.just(case[0]), case[1]))


def _containers(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    few = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        inner.map(lambda c: (list[c[0]], st.lists(c[1], max_size=3))),
        inner.map(lambda c: (tuple[c[0], ...], st.lists(c[1], max_size=3).map(tuple))),
        inner.map(lambda c: (Optional[c[0]], st.none() | c[1])),  # noqa: UP045  # of what is None already, too
        few.map(lambda cs: (tuple[tuple(c[0] for c in cs)], st.tuples(*[c[1] for c in cs]))),
        st.sampled_from(KEYS).map(lambda c: (set[c[0]], st.sets(c[1], max_size=3))),
        st.sampled_from(KEYS).map(lambda c: (frozenset[c[0]], st.frozensets(c[1], max_size=3))),
        st.tuples(st.sampled_from(KEYS), inner).map(
            lambda pair: (dict[pair[0][0], pair[1][0]], st.dictionaries(pair[0][1], pair[1][1], max_size=3))
        ),
        st.tuples(few, st.sampled_from(_MAKERS)).map(lambda made: made[1](made[0])),
    )


def _fields(cases: list[Case]) -> dict[str, Any]:
    return {f"f{i}": kind for i, (kind, _) in enumerate(cases)}


def _values(cases: list[Case]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({f"f{i}": values for i, (_, values) in enumerate(cases)})


def _dataclass(cases: list[Case], **options: bool) -> Case:
    kind = dataclasses.make_dataclass(f"D{next(_numbers)}", list(_fields(cases).items()), **options)
    return kind, _values(cases).map(lambda values: kind(**values))


def _struct(cases: list[Case], **options: Any) -> Case:
    kind = msgspec.defstruct(f"S{next(_numbers)}", list(_fields(cases).items()), **options)
    return kind, _values(cases).map(lambda values: kind(**values))


def _named_tuple(cases: list[Case]) -> Case:
    kind = NamedTuple(f"N{next(_numbers)}", list(_fields(cases).items()))  # type: ignore[misc]
    return kind, _values(cases).map(lambda values: kind(**values))


def _typed_dict(cases: list[Case]) -> Case:
    fields = _fields(cases)
    fields["f0"] = NotRequired[fields["f0"]]
    kind = TypedDict(f"T{next(_numbers)}", fields)  # type: ignore[misc]
    values = {f"f{i}": values for i, (_, values) in enumerate(cases)}
    first = {"f0": values.pop("f0")}
    made = st.fixed_dictionaries(values, optional=first)
    return kind, made.flatmap(lambda value: st.permutations(list(value.items())).map(dict))


_MAKERS = [
    _dataclass,
    lambda cases: _dataclass(cases, slots=True),
    lambda cases: _dataclass(cases, frozen=True),
    lambda cases: _dataclass(cases, frozen=True, slots=True),
    _struct,
    lambda cases: _struct(cases, array_like=True),
    lambda cases: _struct(cases, tag=True, rename="camel"),
    lambda cases: _struct(cases, omit_defaults=True, frozen=True),
    _named_tuple,
    _typed_dict,
]


def identical(left: Any, right: Any) -> bool:  # noqa: PLR0911  # a table, one line per row
    """Equal with equal types all the way down."""
    if type(left) is not type(right):
        # In a field that is annotated as float an int comes back as the equal float.
        return type(left) is int and type(right) is float and left == right
    if dataclasses.is_dataclass(left):
        return all(identical(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    if isinstance(left, msgspec.Struct):
        return all(identical(getattr(left, f), getattr(right, f)) for f in left.__struct_fields__)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(identical, left, right))
    if isinstance(left, dict):
        return identical(list(left), list(right)) and identical(list(left.values()), list(right.values()))
    if isinstance(left, (set, frozenset)):
        return sorted(map(repr, left)) == sorted(map(repr, right))
    return repr(left) == repr(right)
