from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import pathlib
import subprocess
import sys
import uuid
import zoneinfo
from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Cache
from scalekit.cache._key import argument_texts, bracketed, pinnable, value_text
from scalekit.errors import ConfigurationError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    ONE = 1


class Name(enum.StrEnum):
    A = "a"


class Flags(enum.Flag):
    R = 1
    W = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Filter:
    area: int
    words: tuple[str, ...] = ()


@dataclass
class Mutable:
    x: int


class Tenant:
    def __init__(self, number):
        self.number = number

    def __cache_key__(self):
        return self.number


class Subclass(int):
    pass


def arguments_text(arguments, names, *, typed):
    return bracketed(",".join(argument_texts(arguments, names, typed=typed)))


def text(value, *, typed=True):
    return value_text(value, "x", typed=typed)


ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
DIFFERENT = [
    None,
    "None",
    True,
    "True",
    1,
    1.0,
    "1",
    b"1",
    (1,),
    [1],
    {1},
    frozenset({1}),
    {1: 1},
    ((1,),),
    (),
    [],
    {},
    set(),
    frozenset(),
    "",
    b"",
    ("a b", "c"),
    ("a", "b c"),
    ("a,b",),
    ("a", "b"),
    "'a','b'",
    0.0,
    -0.0,
    float("inf"),
    float("nan"),
    1j,
    Level.ONE,
    Name.A,
    "a",
    Colour.RED,
    Colour.BLUE,
    "RED",
    Flags.R,
    Flags.W,
    Flags.R | Flags.W,
    Point(1, 2),
    (1, 2),
    [1, 2],
    Filter(1),
    Filter(1, ("a",)),
    Tenant(1),
    Tenant("1"),
    Decimal(1),
    Decimal("1.0"),
    Fraction(1),
    dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1),  # noqa: DTZ001
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 1, 1, 1, tzinfo=ZONE),
    dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    dt.time(1),
    dt.time(1, fold=1),
    dt.timedelta(1),
    ZONE,
    uuid.UUID(int=1),
    str(uuid.UUID(int=1)),
    pathlib.PurePosixPath("/a"),
    ipaddress.ip_address("::1"),
    range(1),
    ...,
    10**5_000,
    10**5_000 + 1,
    -(10**5_000),
]


def test_different_values_have_different_texts():
    texts = [text(value) for value in DIFFERENT]
    assert len(set(texts)) == len(texts)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def told_apart(value):
    """A model of `value` in which what must be told apart is unequal."""
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(told_apart, value))
    if isinstance(value, dict):
        return ("dict", frozenset((key, told_apart(item)) for key, item in value.items()))
    return (type(value).__name__, repr(value))


@given(VALUES, VALUES)
def test_texts_are_equal_only_for_equal_values(a, b):
    assert (text(a) == text(b)) is (told_apart(a) == told_apart(b))


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_arguments_do_not_run_into_each_other(pairs):
    one, two = (arguments_text({"a": a, "b": b}, ("a", "b"), typed=True) for a, b in pairs)
    assert one != two


def test_the_same_values_under_other_names_are_another_call():
    one, two = ({"a": 1, "b": 2}, {"b": 1, "a": 2})
    assert arguments_text(one, ("a", "b"), typed=True) != arguments_text(two, ("b", "a"), typed=True)


def test_order_does_not_matter_where_it_has_no_meaning():
    assert text({"a": 1, "b": 2}) == text({"b": 2, "a": 1})
    assert text({"x", "y", "z"}) == text({"z", "y", "x"})


def test_untyped_equal_numbers_have_one_text():
    assert text(1, typed=False) == text(True, typed=False) == text(1.0, typed=False)
    assert text(0.0, typed=False) == text(-0.0, typed=False)
    assert text((1, 2.5), typed=False) == text((1.0, 2.5), typed=False)
    assert text(1.5, typed=False) != text(1, typed=False)
    assert text(Level.ONE, typed=False) != text(1, typed=False)
    assert text(float("inf"), typed=False) == "inf"


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Mutable(1),
        Subclass(1),
        bytearray(b"a"),
        iter([]),
        len,
        Colour,
        dt.time(1, tzinfo=dt.tzinfo()),
    ],
)
@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: [v], lambda v: {"k": v}], ids=["bare", "list", "dict"]
)
def test_an_unsupported_type_is_refused_with_the_remedy(value, wrap):
    with pytest.raises(ConfigurationError, match=r"expected x as .*__cache_key__.*exclude=.*key=.*; got"):
        text(wrap(value))


@dataclass(frozen=True)
class Derived(Filter):
    pass


class InheritsFilter(Filter):
    def __init__(self, area, secret):
        super().__init__(area)
        object.__setattr__(self, "secret", secret)


class InheritsPoint(Point):
    pass


class SlottedPoint(Point):
    __slots__ = ()


class MadePoint(namedtuple("MadePoint", "x y")):  # noqa: PYI024
    __slots__ = ()


T = TypeVar("T")


class GenericPoint(NamedTuple, Generic[T]):
    x: T


@dataclass(frozen=True)
class Slotted(Filter):
    __slots__ = ()


def test_a_declaration_that_is_inherited_is_not_all_that_tells_apart():
    with pytest.raises(
        ConfigurationError, match="expected x as a value whose own class is a frozen dataclass,"
    ):
        text(InheritsFilter(1, "a"))
    with pytest.raises(
        ConfigurationError, match=r"own class is a named tuple with __slots__ = \(\), as.*adds"
    ):
        text([InheritsPoint(1, 2)])
    texts = [text(each(1, 2)) for each in (Point, SlottedPoint, MadePoint)]
    texts += [text(each(1)) for each in (Filter, Derived, Slotted, GenericPoint)]
    assert len(set(texts)) == 7


def test_only_the_fields_of_a_dataclass_are_in_its_text():
    @dataclass(frozen=True)
    class Search:
        kind: ClassVar[object] = object()  # has no text
        words: str
        split: InitVar[bool] = False
        parts: tuple[str, ...] = field(init=False, default=())

        def __post_init__(self, split):
            object.__setattr__(self, "parts", tuple(self.words.split()) if split else ())

    assert text(Search("a b")) == text(Search("a b"))
    assert text(Search("a b")) != text(Search("a b", True))
    assert "kind" not in text(Search("a b"))


def test_keys_stay_small_whatever_is_passed():
    cache = Cache()
    long = "x" * 1_000

    def load(ids):
        return {}

    functions = [
        cache.cached(ttl=60)(load),
        cache.cached(ttl=60, version=2, key=lambda ids: ids)(load),
        cache.cached_many(ttl=60, version=3)(load),
    ]
    for function in functions:
        assert len(function.key(long)) < 150
        assert function.key(long) != function.key(long + "x")
        assert long[:200] in function.key(long[:200])


class Labelled(enum.Enum):
    A = 1
    B = 2

    @property
    def name(self):
        return "label"

    @property
    def value(self):
        return "value"


class Marks(enum.Flag, boundary=enum.KEEP):
    R = 1

    @property
    def value(self):
        return "value"


def test_members_of_an_enum_differ_whatever_its_properties_say():
    assert len({text(member) for member in (*Labelled, Marks.R, Marks(2), Marks(4))}) == 5


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_a_value_that_is_nested_too_deeply_is_refused():
    itself = []
    itself.append(itself)
    for value in (itself, nested(100_000)):
        with pytest.raises(ConfigurationError, match="expected x as a value that neither contains itself"):
            text(value)
    assert text(nested(50))


def test_a_class_may_take_back_the_key_that_it_inherits():
    class Told:
        def __cache_key__(self):
            return 1

    @dataclass(frozen=True)
    class Untold(Told):
        x: int
        __cache_key__ = None

    class Shelf(Told):
        __cache_key__ = None

        def find(self, x):
            return x

    assert text(Untold(1)) != text(Untold(2))
    with pytest.raises(ConfigurationError, match="__cache_key__"):
        text(Shelf())
    find = Cache().cached(ttl=60)(Shelf.find)
    assert find.key(Shelf(), 1).endswith("(x=1)")


@pytest.mark.parametrize("own", ["abc", 7, property(lambda self: "abc")])
def test_a_key_of_its_own_is_a_method(own):
    class Shelf:
        __cache_key__ = own

        @Cache().cached(ttl=60)
        def find(self, x):
            return x

    shelf = Shelf()
    for name, call in (("x", lambda: text(shelf)), ("self", lambda: shelf.find(1))):
        with pytest.raises(
            ConfigurationError,
            match=rf"expected {name} as an object whose __cache_key__ is a method, not (7|'abc');",
        ):
            call()


def test_a_long_text_is_replaced_by_its_digest():
    long, longer = "x" * 10_000, "x" * 10_001
    one, two = (arguments_text({"a": value}, ("a",), typed=True) for value in (long, longer))
    assert one != two
    assert len(one) < 100
    assert one == arguments_text({"a": long}, ("a",), typed=True)
    assert arguments_text({"a": "\ud800" * 300}, ("a",), typed=True)


def test_texts_are_the_same_in_every_process():
    code = """if 1:
        from scalekit.cache._key import argument_texts, bracketed
        values = {"a": {"x", "y", "z", b"b", 1}, "b": {"k": frozenset("abc"), "l": None}, "c": "x" * 500}
        print(*(bracketed(",".join(argument_texts(values, (name,), typed=True))) for name in values), sep="|")
    """
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "42")
    }
    assert len(outputs) == 1


def test_only_values_whose_equals_have_one_text_are_pinned():
    assert pinnable((1, "a", b"b", None, True))
    for value in (0.0, 1.5, Level.ONE, Name.A, (1,), dt.datetime.now(dt.UTC), Subclass(1)):
        assert not pinnable((value,))
