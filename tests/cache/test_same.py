"""Equal is not the same."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from types import ModuleType
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest

from scalekit.cache._same import difference, same
from tests.cache.annotated import Level, Mode, Suit

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
Loose = namedtuple("Loose", "a")  # noqa: PYI024  # the kind without types


@dataclass
class Point(Generic[T]):
    x: T

    @cached_property
    def squared(self):
        return self.x**2


@dataclass(slots=True, eq=False)
class Slotted:
    x: object
    __hash__ = object.__hash__


class Struct(msgspec.Struct):
    at: object
    point: object = None


class Bare:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Vague:
    """Equal to whatever is of its class, whatever it carries."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Vague)

    __hash__ = None


class Angry:
    def __eq__(self, other):
        raise ArithmeticError

    __hash__ = None


class Row(tuple):  # noqa: SLOT001  # with a __dict__
    pass


def with_attributes(value, **attributes):
    vars(value).update(attributes)
    return value


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (1, True),
        (1.0, 1),
        (1, 1.5),
        (True, 1.0),
        (0.0, -0.0),
        ([1], (1,)),
        ([1], [1, 2]),
        ({"a": 1}, {"a": True}),
        ({1: 1}, {True: 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        ({1}, {True}),
        ({1}, frozenset({1})),
        (Loose(1), (1,)),
        (Level.LOW, 1),
        (Mode.READ, "r"),
        (Suit.HEARTS, Suit.SPADES),
        (NOW, NOW.astimezone(timezone(timedelta(hours=1)))),
        (NOW, NOW.astimezone(BERLIN)),
        (NOW, NOW.replace(tzinfo=None)),
        (NOW.replace(tzinfo=ZoneInfo("Europe/London")), NOW),  # the same offset, in winter
        (datetime(2026, 1, 1, fold=1), datetime(2026, 1, 1)),  # noqa: DTZ001
        (time(1, tzinfo=BERLIN), time(1)),
        (time(1, tzinfo=UTC), time(1)),
        (Decimal("1.0"), Decimal("1.00")),
        (Point(1.0), Point(True)),
        (Point([1]), Point((1,))),
        (Slotted(1), Slotted(True)),
        (Struct(NOW), Struct(NOW, Point(1.0))),
        (with_attributes(Point(1), y=1), Point(1)),
        (Point(1), with_attributes(Point(1), y=1)),
        (with_attributes(Point(1), y=1), with_attributes(Point(1), z=1)),
        (with_attributes(Row([1]), y=1), Row([1])),
        (Bare(x=1), Bare(x=2)),
        (Bare(x=1), Bare(x=True)),
        (Bare(x=1), Bare()),
        (object(), object()),
        (math.nan, 1.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equal_is_not_the_same(stored, read):
    assert not same(stored, read)
    assert not same([{"a": stored}], [{"a": read}])


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (math.nan, float("nan")),
        (Decimal("sNaN"), Decimal("sNaN")),
        (3, 3.0),
        ({0, 8}, {8, 0}),
        ({-1, -2}, {-2, -1}),  # of one hash
        (Point(NOW), Point(NOW.replace())),
        (Point[int](1), Point(1)),
        (Slotted([1]), Slotted([1])),
        (Bare(x=1, y=2), Bare(y=2, x=1)),
        (NOW, NOW.replace(tzinfo=ZoneInfo("Etc/UTC"))),
        (Vague(1), Vague(2)),
        (Loose([1]), Loose([1])),
        ([], []),
        ({}, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_same_in_two_objects(stored, read):
    assert same(stored, read)
    assert same((stored, {"a": [stored]}), (read, {"a": [read]}))


def test_what_an_object_has_computed_is_no_difference():
    point = Point(3)
    assert point.squared == 9
    assert same(point, Point(3))


def test_an_object_is_the_same_as_itself_whatever_it_says():
    angry = Angry()
    assert same(angry, angry)
    with pytest.raises(ArithmeticError):
        same(angry, Angry())


@pytest.mark.parametrize(
    ("stored", "read", "part"),
    [
        (1, True, (1, True)),
        ([0, {"a": (1, 2)}], [0, {"a": (1, "2")}], (2, "2")),
        ({"a": [1]}, {"a": [1, 2]}, ([1], [1, 2])),
        (Point(Point(1)), Point(Point(2)), (1, 2)),
        ([NOW], [NOW.astimezone(BERLIN)], (NOW, NOW.astimezone(BERLIN))),
        ({1}, {2}, (1, 2)),
        ([0.0], [-0.0], (0.0, -0.0)),
        ([(1,)], [[1]], ((1,), [1])),
    ],
)
def test_the_innermost_difference_is_found(stored, read, part):
    assert repr(difference(stored, read)) == repr(part)


@pytest.mark.parametrize("loaded", [None, ModuleType("datetime")], ids=["not loaded", "being loaded"])
def test_datetime_need_not_be_loaded(monkeypatch, loaded):
    monkeypatch.setitem(sys.modules, "datetime", loaded)
    assert same([1, (2,)], [1, (2,)])
    assert not same([1, (2,)], [1, [2]])
