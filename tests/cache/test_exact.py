"""What the test of types lets through comes back identical; and it lets through what it is made for."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import MsgspecSerializer
from scalekit.cache._exact import exactly
from scalekit.errors import SerialisationError
from tests.cache.annotated import Level, Mode, Rights, Suit, cases, identical, typed_values

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Point:
    x: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    value: Any
    next: Node | None = None


@dataclass
class Page(Generic[T]):
    items: list[T]


class Tree(msgspec.Struct):
    children: dict[str, Tree] = {}


class Row(NamedTuple):
    id: int
    price: Decimal | None


class Typed(TypedDict):
    id: int
    note: NotRequired[str]


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


def exact(kind, value):
    return MsgspecSerializer(kind)._made().exact(value)


@given(typed_values())
def test_a_value_of_its_type_comes_back_identical(pair):
    kind, value = pair
    serializer = MsgspecSerializer(kind)
    assert identical(value, serializer.loads(serializer.dumps(value)))


class Text(str):
    __slots__ = ()


class Size(int):
    pass


Loose = namedtuple("Loose", "a b", defaults=(None, None))  # noqa: PYI024  # the kind without types
LOOKALIKES = st.sampled_from(
    [
        True,
        False,
        1.0,
        Level.LOW,
        Mode.READ,
        Suit.HEARTS,
        Rights.READ,
        Size(1),
        Text("a"),
        "a",
        b"a",
        bytearray(b"a"),
        OrderedDict(a=1),
        defaultdict(int),
        Loose(1, 2),
        (1, 2),
        [1, 2],
        {1, 2},
        frozenset({1}),
        0.0,
        -0.0,
        float("nan"),
        Decimal(1),
        uuid.UUID(int=1),
        NOW,
        NOW.replace(tzinfo=None),
        NOW.replace(tzinfo=ZoneInfo("Europe/Berlin")),
        NOW.astimezone(timezone(timedelta(hours=1))),
        NOW.date(),
        Point(1),
        Node(1),
        Row(1, None),
        Cat("a"),
        None,
    ]
)


@st.composite
def twisted(draw):
    """A value, with one part of it replaced by something that may look like it."""
    kind, values = draw(cases())
    return kind, draw(_twist(draw(values)))


def _twist(value):
    """Return a strategy for `value` with a lookalike in it."""
    inside = [LOOKALIKES]
    kind = type(value)
    if kind in {list, tuple} and value:
        inside += [
            _twist(value[0]).map(lambda part: kind([part, *value[1:]])),
            st.just((*value,)),
            st.just([*value]),
        ]
    elif kind is dict and value:
        first, *others = value
        inside.append(
            _twist(value[first]).map(lambda part: {first: part} | {name: value[name] for name in others})
        )
        inside.append(LOOKALIKES.map(lambda part: value | {"f9": part}))
        inside.append(st.just(OrderedDict(value)))
    elif dataclasses.is_dataclass(value):
        inside.append(_twist(value.f0).map(lambda part: dataclasses.replace(value, f0=part)))
    elif isinstance(value, msgspec.Struct):
        inside.append(_twist(value.f0).map(lambda part: msgspec.structs.replace(value, f0=part)))
    elif hasattr(value, "_replace"):
        inside.append(_twist(value.f0).map(lambda part: value._replace(f0=part)))
    return st.one_of(inside)


@given(twisted())
def test_what_is_not_quite_of_its_type_comes_back_identical_or_is_refused(pair):
    kind, value = pair
    serializer = MsgspecSerializer(kind)
    try:
        data = serializer.dumps(value)
    except SerialisationError:
        return
    assert identical(value, serializer.loads(data))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, {"a": [1, None, {"b": b"c"}], "d": 1.5, 3: True}),
        (object, [{}]),
        (dict[str, object], {"a": [1]}),
        (float, 3),
        (Point, Point(1, ("a", "b"))),
        (list[Point], [Point(1), Point(2)]),
        (Node, Node([1], Node(None))),
        (Tree, Tree({"a": Tree({"b": Tree()})})),
        (Row, Row(1, Decimal("1.0"))),
        (Typed, {"note": "a", "id": 1}),
        (Page[int], Page([1, 2])),
        (Cat | Dog | None, Dog("a")),
        (tuple[int, str], (1, "a")),
        (dict[uuid.UUID, set[date]], {uuid.UUID(int=1): {NOW.date()}}),
        (datetime, NOW),
        (timedelta, timedelta(1)),
        (Optional[Any], [None]),  # noqa: UP045
        (Suit, Suit.HEARTS),
        (Annotated[str, "note"], "a"),
        (Literal["a", "b"], "b"),
    ],
)
def test_values_of_their_type_need_no_round_trip(kind, value):
    assert exact(kind, value)
    assert identical(value, msgspec.msgpack.decode(MsgspecSerializer(kind).dumps(value), type=kind))


def with_attribute():
    point = Point(1)
    point.extra = 1
    return point


class Subclass(Point):
    pass


@dataclass
class Corrected:
    x: int

    def __post_init__(self):
        self.x = abs(self.x)


@dataclass
class Watched:
    x: int

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)


@dataclass
class Described:
    x: int = 0

    @property
    def y(self):
        return 1


class Shy:
    """A data descriptor in place of a field."""

    def __get__(self, instance, owner=None):
        return 0 if instance is None else 1

    def __set__(self, instance, value):
        vars(instance)["x"] = value


@dataclass
class WithDescriptor:
    x: int = Shy()  # type: ignore[assignment]


class RowSubclass(Row):
    pass


class Frugal(msgspec.Struct, omit_defaults=True):
    a: int = 1


class Open(msgspec.Struct, dict=True):
    a: int = 1


class Unset(msgspec.Struct):
    a: int | msgspec.UnsetType = msgspec.UNSET


class Loud(enum.Enum):
    A = 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, (1,)),
        (Any, [Level.LOW]),
        (Any, {"a": Text("a")}),
        (Any, {(1,): 1}),
        (int, True),
        (Point, with_attribute()),
        (Point, Subclass(1)),
        (Point, Point(True)),
        (Point, Point(1, ["a"])),
        (Point, Point(1, (Text("a"),))),
        (Corrected, Corrected(1)),
        (Watched, Watched(1)),
        (WithDescriptor, WithDescriptor()),
        (Row, RowSubclass(1, None)),
        (RowSubclass, RowSubclass(1, None)),
        (Typed, {"id": 1, "extra": 2}),
        (Typed, {"note": "a"}),
        (Typed, {"id": True}),
        (Frugal, Frugal()),
        (Unset, Unset()),
        (Rights, Rights.READ | Rights.WRITE),
        (Annotated[int, msgspec.Meta(ge=0)], 1),
        (datetime, NOW.replace(tzinfo=ZoneInfo("UTC"))),
        (datetime, NOW.replace(tzinfo=None, fold=1)),
        (tuple[int, int], Loose(1, 2)),
        (tuple[int, int], (1,)),
        (Literal[1], True),
        (dict[str, int], OrderedDict(a=1)),
        (dict[str, int], {Text("a"): 1}),
        (dict[str, int], {"a": True}),
        (set[int], frozenset({1})),
        (Node, Node(1, Node((1,)))),
    ],
)
def test_what_types_alone_cannot_vouch_for_is_not_let_through(kind, value):
    assert not exact(kind, value)


def test_a_struct_with_a_dict_is_let_through_without_more_attributes():
    value = Open()
    assert exact(Open, value)
    value.extra = 1
    assert not exact(Open, value)
    assert exact(Described, Described(1))


def test_one_class_with_two_meanings_is_not_let_through():
    inspect = msgspec.inspect
    test = exactly(inspect.UnionType((inspect.LiteralType(("a",)), inspect.StrType())))
    assert not test("a")
