"""Values that pass through bytes come back equal and of their type, or are refused."""

from __future__ import annotations

import enum
import functools
import math
import sys
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Cache, MsgspecSerializer
from scalekit.cache._same import same
from scalekit.cache.msgspec import serializer_of
from scalekit.errors import MissingExtra, SerialisationError

if TYPE_CHECKING:
    from nowhere import Unknown

T = TypeVar("T")


@dataclass
class Point:
    x: float
    names: tuple[str, ...] = ()
    seen: frozenset[int] = field(default_factory=frozenset)


class Struct(msgspec.Struct):
    at: datetime
    point: Point | None = None


class Row(NamedTuple):
    id: int
    price: Decimal


class Typed(TypedDict):
    id: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


Loose = namedtuple("Loose", "a")  # noqa: PYI024  # the kind without types
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.tuples(st.integers())
    | st.decimals()
    | st.sampled_from(
        [NOW, NOW.replace(tzinfo=None), Level.LOW, Colour.RED, Point(1), Loose(1), {1}, "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


def identical(left, right):
    """Equal with equal types all the way down, by their looks: an oracle that shares nothing with `same`."""
    return repr(left) == repr(right) and type(left) is type(right)


@given(PLAIN)
def test_an_unannotated_value_comes_back_or_is_refused(value):
    serializer = MsgspecSerializer(Any)
    try:
        data = serializer.dumps(value)
    except SerialisationError:
        return
    assert identical(serializer.loads(data), value)


@given(st.lists(st.none() | st.booleans() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_plain_values_are_taken(value):
    serializer = MsgspecSerializer(Any)
    assert identical(serializer.loads(serializer.dumps(value)), value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, -(2**63)),
        (int, 2**64 - 1),
        (float, 1.5),
        (float, 3),
        (float, math.inf),
        (float, math.nan),
        (float | None, 3),
        (list[float], [1, 2.5]),
        (dict[str, tuple[float, ...]], {"a": (1, 2.0)}),
        (tuple[int, str], (1, "a")),
        (set[int], {-1, -2, 3}),
        (frozenset[str], frozenset({"a"})),
        (dict[tuple[int, int], set[str]], {(1, 2): {"x"}}),
        (bytes, b"\x00"),
        (bytearray, bytearray(b"a")),
        (Decimal, Decimal("1.00")),
        (uuid.UUID, uuid.UUID(int=7)),
        (datetime, NOW),
        (datetime, NOW.replace(tzinfo=None)),
        (date, NOW.date()),
        (time, NOW.time()),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (Colour, Colour.RED),
        (Level, Level.LOW),
        (Point, Point(1.0, ("a",), frozenset({1}))),
        (list[Point], [Point(2)]),
        (Struct, Struct(NOW, Point(1.5))),
        (Row, Row(1, Decimal(2))),
        (Typed, {"id": 1}),
        (type(None), None),
        (Point | None, None),
        (object, {"a": 1}),
        (T, [1]),
        ("no type", [1]),
    ],
)
def test_a_typed_value_comes_back(kind, value):
    serializer = MsgspecSerializer(kind)
    back = serializer.loads(serializer.dumps(value))
    assert same(value, back)
    assert type(back) is type(value)
    assert back == value or value != value  # noqa: PLR0124  # NaN


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, (1, 2)),
        (Any, [(1, 2)]),
        (Any, {"a": {1}}),
        (Any, [Level.LOW]),
        (Any, {"a": OrderedDict(b=1)}),
        (Any, [bytearray(b"a")]),
        (Any, NOW.replace(tzinfo=None)),
        (Any, NOW.astimezone(timezone(timedelta(hours=2)))),
        (Any, Decimal(1)),
        (Any, uuid.UUID(int=1)),
        (Any, Point(1)),
        (Any, object()),
        (Any, 2**64),
        (Any, "\ud800"),
        (Any, functools.reduce(lambda inner, _: [inner], range(100_000), [])),
        (int, "1"),
        (int, True),
        (int, None),
        (str, b"a"),
        (float, 2**64),
        (tuple[int, int], Loose(1)),
        (tuple[int, ...], [1]),
        (datetime, NOW.astimezone(timezone(timedelta(hours=2)))),
        (set[int], frozenset({1})),
        (set[int], {True}),
        (Point, Point(2**53 + 1)),
        (Point, Struct(NOW)),
        (object, Point(1)),
    ],
)
def test_a_value_that_would_change_is_refused_and_the_remedy_named(kind, value):
    with pytest.raises(SerialisationError) as caught:
        MsgspecSerializer(kind).dumps(value)
    assert type(value).__qualname__ in str(caught.value)
    assert "msgspec knows" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_refusal_shows_what_would_come_back():
    with pytest.raises(
        SerialisationError, match=r"cannot store \(1,\) \(tuple\).*come back as \[1\]; annotate"
    ):
        MsgspecSerializer(Any).dumps((1,))
    with pytest.raises(SerialisationError, match="return what the annotation <class 'int'> says"):
        MsgspecSerializer(int).dumps("1")


def test_what_was_not_written_by_it_is_a_value_error():
    for data in (b"", b"\xc1", b"\xa1a", b"\x91" * 100_000 + b"\xc0"):
        with pytest.raises(ValueError):
            MsgspecSerializer(int).loads(data)
    with pytest.raises(ValueError):
        MsgspecSerializer(Any).loads(b"\x91" * 100_000 + b"\xc0")


def fields(*names):
    @dataclass
    class Same:
        pass

    Same.__annotations__ = dict.fromkeys(names, int)
    return dataclass(Same)


def test_a_fingerprint_stands_for_the_type_and_its_fields():
    kinds = [Any, int, str, float, list[int], set[int], tuple[int, ...], Point, Struct, list[Point], object]
    kinds += [dict[tuple[int, int], int], fields("a"), fields("b"), fields("a", "b"), fields("b", "a")]
    prints = [MsgspecSerializer(kind).fingerprint for kind in kinds]
    assert {len(fingerprint) for fingerprint in prints} == {8}
    assert len(set(prints)) == len(kinds)
    assert prints == [MsgspecSerializer(kind).fingerprint for kind in kinds]


def test_a_functions_annotation_is_looked_up_when_it_is_needed():
    def later() -> DefinedBelow:
        raise NotImplementedError

    def unknown(x: Unknown) -> tuple[int, ...]:
        raise NotImplementedError

    @functools.wraps(unknown)
    def wrapper(*args):
        raise NotImplementedError

    assert serializer_of(later).loads(serializer_of(later).dumps(DefinedBelow(1))) == DefinedBelow(1)
    for function in (unknown, wrapper):
        assert serializer_of(function).loads(serializer_of(function).dumps((1,))) == (1,)


class DefinedBelow(NamedTuple):
    x: int


def test_without_an_annotation_that_can_be_read_only_plain_values_are_taken():
    def unknown() -> Unknown:
        raise NotImplementedError

    def broken() -> None:
        raise NotImplementedError

    broken.__annotations__["return"] = "not python"
    for function in (unknown, broken, lambda: None, functools.partial(unknown), print):
        serializer = serializer_of(function)
        assert serializer.loads(serializer.dumps([1])) == [1]
        with pytest.raises(SerialisationError, match="annotate the function's return type"):
            serializer.dumps((1,))


def test_msgspec_is_needed_by_the_first_use_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    cache = Cache()
    assert cache.cached(ttl=1)(lambda: (1,))() == (1,)
    with pytest.raises(
        MissingExtra, match=r"MsgspecSerializer needs msgspec: pip install 'scaleblocks\[msgspec\]'"
    ):
        MsgspecSerializer(int).dumps(1)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (1, True),
        (1.0, 1),
        (1, 1.5),
        ([1], (1,)),
        ([1], [1, 2]),
        ({"a": 1}, {"a": True}),
        ({1: 1}, {True: 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1}, {True}),
        (NOW, NOW.astimezone(timezone(timedelta(hours=1)))),
        (datetime(2026, 1, 1, fold=1), datetime(2026, 1, 1)),  # noqa: DTZ001
        (Point(1.0), Point(True)),
        (Struct(NOW), Struct(NOW, Point(1.0))),
        (math.nan, 1.0),
    ],
)
def test_equal_is_not_the_same(stored, read):
    assert not same(stored, read)
