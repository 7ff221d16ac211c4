"""Values that pass through bytes come back equal and of their type, or are refused."""

from __future__ import annotations

import enum
import functools
import math
import sys
import tracemalloc
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar, Union
from zoneinfo import ZoneInfo

import msgspec
import msgspec.inspect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from scalekit.cache import Cache, MsgspecSerializer
from scalekit.cache._same import same
from scalekit.cache.msgspec import item_serializer_of, serializer_of
from scalekit.errors import ConfigurationError, MissingExtra, SerialisationError
from tests.cache.annotated import identical

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


@dataclass
class Box:
    content: object


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
NAIVE = NOW.replace(tzinfo=None)

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


class Text(str):
    __slots__ = ()


class Settings(dict):
    pass


@dataclass
class Corrected:
    x: int

    def __post_init__(self):
        self.x += 1


@dataclass
class Failing:
    x: int

    def __post_init__(self):
        if self.x:
            raise KeyError(self.x)


def failing():
    value = Failing(0)
    value.x = 1
    return value


def extended(value):
    value.extra = 1
    return value


class Mixed(enum.Enum):
    A = 1
    B = "b"


@dataclass
class Lost:
    x: Nowhere  # noqa: F821


class Unhooked:
    pass


class Angry(msgspec.Struct):
    x: int = 1

    def __post_init__(self):
        self.x = self

    def __repr__(self):
        raise ArithmeticError


Json = Union[int, list["Json"], dict[str, "Json"]]  # noqa: UP007
Price = NewType("Price", float)
Prices = TypeAliasType("Prices", list[float])


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
        (Box, Box({"a": [1]})),
        (float | Level, 1.5),
        (float | Level, Level.LOW),
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
        (int, Level.LOW),
        (str, Text("a")),
        (Any, Text("a")),
        (Any, [Text("a")]),
        (Any, {Text("a"): 1}),
        (dict[str, int], OrderedDict(a=1)),
        (dict[str, int], defaultdict(int)),
        (Any, Loose(1)),
        (Point, extended(Point(1))),
        (Typed, {"id": 1, "more": 2}),
        (datetime, NOW.replace(tzinfo=ZoneInfo("Europe/Berlin"))),
        (time, time(1, tzinfo=ZoneInfo("Europe/Berlin"))),
        (datetime, datetime(2026, 1, 1, fold=1)),  # noqa: DTZ001
        (datetime, datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))),
        (Sequence[int], (1,)),
        (Corrected, Corrected(1)),
        (Failing, failing()),
        (Union[Point, Failing], Point(1)),  # noqa: UP007
        (Union[datetime, str], NAIVE),  # noqa: UP007
        (Union[set[int], list[int]], {1}),  # noqa: UP007
        (Mixed, Mixed.A),
        (Lost, Lost(1)),
        (list[Unhooked], [Unhooked()]),
        (Unhooked, Unhooked()),
        (Angry, Angry()),
        (Json, (1,)),
        (list["Later"], [1, (2,)]),  # noqa: F821
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
    with pytest.raises(ValueError, match="1") as caught:
        MsgspecSerializer(Failing).loads(b"\x81\xa1x\x01")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            Any,
            {"a": [Level.LOW]},
            r"its <Level.LOW: 1> would come back as 1; annotate the function's return type",
        ),
        (Any, [Settings()], r"its {} \(Settings\) would come back as {} \(dict\)"),
        (Any, (1,), r"\(get_or_set\(\) and set\(\) have no function to ask: use cached\(\)\), or keep to"),
        (list[int], [1, True], r"Expected `int`, got `bool`.*; return what the annotation list\[int\] says"),
        (
            datetime,
            NOW.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
            r"so store it as \.astimezone\(datetime\.UTC\)",
        ),
        (Union[datetime, str], NAIVE, r"annotation cannot be used \(Type unions may not .*\): annotate the"),  # noqa: UP007
        (list[Lost], [Lost(1)], r"annotation cannot be used \(name 'Nowhere' is not defined\)"),
        (
            Unhooked,
            Unhooked(),
            "Unhooked are unknown to msgspec; return.*enc_hook=, dec_hook=\\) is for other types",
        ),
    ],
)
def test_a_refusal_says_what_and_why(kind, value, message):
    with pytest.raises(SerialisationError, match=message):
        MsgspecSerializer(kind).dumps(value)


def test_bytes_for_a_type_without_a_hook_are_a_value_error():
    with pytest.raises(ValueError, match="Unhooked'> is unknown to msgspec"):
        MsgspecSerializer(Unhooked).loads(b"\x01")


def test_a_type_that_msgspec_cannot_describe_is_checked_by_a_round_trip(monkeypatch):
    def type_info(kind):
        raise TypeError

    monkeypatch.setattr(msgspec.inspect, "type_info", type_info)
    serializer = MsgspecSerializer(tuple[int, ...])
    assert serializer.loads(serializer.dumps((1,))) == (1,)
    with pytest.raises(SerialisationError, match="come back as"):
        serializer.dumps([1])


def test_a_refusal_has_its_cause():
    with pytest.raises(SerialisationError) as caught:
        MsgspecSerializer(Failing).dumps(failing())
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("kind", [Any, Json, Union[Point, Failing], Lost, list["Later"], "nothing"])  # noqa: F821, UP007
def test_an_annotation_that_is_not_usable_leaves_plain_values(kind):
    serializer = MsgspecSerializer(kind)
    assert serializer.loads(serializer.dumps({"a": [1, None]})) == {"a": [1, None]}


@pytest.mark.parametrize("kind", [Prices, Annotated[float, msgspec.Meta(gt=0)], Sequence[float], Price])
def test_an_int_given_for_a_float_comes_back_as_it_was_stored(kind):
    serializer = MsgspecSerializer(kind)
    value = [3] if kind in {Prices, Sequence[float]} else 3
    assert repr(serializer.loads(serializer.dumps(value))) == repr(value)


ALIASES = """
type Id = int
type Json = None | int | list[Json] | dict[str, Json]
type Pair[T] = tuple[T, T]

@dataclass
class Page[T]:
    items: list[T]
    next: "Page[T] | None" = None
"""
OLD_ALIASES = """
T = TypeVar("T")
Id = TypeAliasType("Id", int)
Json = TypeAliasType("Json", "None | int | list[Json] | dict[str, Json]")
Pair = tuple[T, T]

@dataclass
class Page(Generic[T]):
    items: list[T]
    next: "Page[T] | None" = None
"""


def test_aliases_and_generic_classes(monkeypatch):
    module = ModuleType("aliases_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    given = {"dataclass": dataclass, "TypeVar": TypeVar, "Generic": Generic, "TypeAliasType": TypeAliasType}
    vars(module).update(given)
    exec(ALIASES if sys.version_info >= (3, 12) else OLD_ALIASES, vars(module))
    page = module.Page
    for kind, value in [
        (module.Id, 1),
        (list[module.Id], [1]),
        (module.Pair[str], ("a", "b")),
        (page[int], page([1], page([2]))),
        (module.Json, [{"a": [1]}]),
    ]:
        serializer = MsgspecSerializer(kind)
        assert serializer.loads(serializer.dumps(value)) == value
    with pytest.raises(SerialisationError, match="annotation cannot be used"):
        MsgspecSerializer(module.Json).dumps([(1,)])


class Fraction:
    def __init__(self, over, under):
        self.over, self.under = over, under

    def __eq__(self, other):
        return type(other) is Fraction and vars(self) == vars(other)

    __hash__ = None


def enc_hook(value):
    if isinstance(value, Fraction):
        return [value.over, value.under]
    if isinstance(value, complex):
        return str(value)
    raise NotImplementedError


def dec_hook(kind, value):
    if kind is Fraction:
        return Fraction(*value)
    if kind is complex:
        return complex(value)
    raise NotImplementedError


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Fraction, Fraction(1, 2)),
        (list[Fraction], [Fraction(1, 2), Fraction(3, 4)]),
        (dict[str, Fraction | None], {"a": None, "b": Fraction(1, 2)}),
        (tuple[complex, int], (1j, 2)),
        (dict[str, object], {"a": 1}),
    ],
)
def test_hooks_teach_it_other_types(kind, value):
    serializer = MsgspecSerializer(kind, enc_hook=enc_hook, dec_hook=dec_hook)
    assert serializer.loads(serializer.dumps(value)) == value


def test_what_hooks_do_not_know_or_do_wrong_is_refused():
    def wrong(kind, value):
        return Fraction(2, 1)

    with pytest.raises(SerialisationError, match="it would come back as"):
        MsgspecSerializer(Fraction, enc_hook=enc_hook, dec_hook=wrong).dumps(Fraction(1, 1))
    with pytest.raises(SerialisationError, match="unknown to msgspec"):
        MsgspecSerializer(Fraction, enc_hook=enc_hook).dumps(Fraction(1, 2))
    with pytest.raises(SerialisationError, match="Unhooked are unknown to msgspec"):
        MsgspecSerializer(Unhooked, enc_hook=enc_hook, dec_hook=dec_hook).dumps(Unhooked())
    with pytest.raises(ValueError, match="missing 1 required"):
        MsgspecSerializer(Fraction, enc_hook=enc_hook, dec_hook=dec_hook).loads(b"\x91\x01")
    for name in ("enc_hook", "dec_hook"):
        with pytest.raises(ConfigurationError, match=f"expected {name} as a callable, or None; got 3"):
            MsgspecSerializer(int, **{name: 3})


FUZZED = {
    kind: MsgspecSerializer(kind)
    for kind in (Any, int, list[Point], Struct, Row, dict[str, tuple[datetime, Decimal]], set[Colour], Typed)
}


@given(st.sampled_from(list(FUZZED)), st.binary(max_size=64))
def test_random_bytes_are_a_value_or_a_value_error(kind, data):
    check_bytes(kind, data)


@given(
    st.sampled_from(list(FUZZED)),
    st.sampled_from(
        [
            {"x": 1.5, "names": ["a"], "seen": [1, 2]},
            [{"x": 1, "names": [], "seen": []}] * 2,
            {"at": NOW, "point": {"x": 1.0}},
            [1, "1.5"],
            {"a": [NOW, "1.5"]},
            ["red"],
            {"id": 1},
        ]
    ),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), max_size=3),
)
def test_flipped_bits_are_a_value_or_a_value_error(kind, value, flips):
    data = bytearray(msgspec.msgpack.encode(value))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    check_bytes(kind, bytes(data))


def check_bytes(kind, data):
    serializer = FUZZED[kind]
    try:
        value = serializer.loads(data)
    except ValueError:
        return
    # What was read is of the type: it can be stored again.
    again = serializer.loads(serializer.dumps(value))
    assert identical(again, value) or again == value  # two equal extensions do not look alike


def test_lengths_that_are_not_there_take_no_memory():
    for head in (
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
    ):
        tracemalloc.start()
        try:
            with pytest.raises(ValueError):
                MsgspecSerializer(Any).loads(head)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_the_items_of_a_mapping_have_a_serializer():
    def points() -> dict[int, Point]:
        raise NotImplementedError

    serializer = item_serializer_of(points)
    assert serializer.loads(serializer.dumps(Point(1.5))) == Point(1.5)
    assert serializer.fingerprint == MsgspecSerializer(Point).fingerprint


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
