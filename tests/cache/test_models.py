"""Models of pydantic and classes of attrs come back equal and of their type, or are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from scalekit.cache import MsgspecSerializer, _shape
from scalekit.cache._models import by_name, dump, is_model, load
from scalekit.cache._same import same
from scalekit.errors import SerialisationError

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


class Colour(Enum):
    RED = 1


class Item(BaseModel):
    id: int
    price: Decimal = Decimal("1.00")
    tags: set[str] = set()
    at: datetime | None = None


class Order(BaseModel):
    items: list[Item]
    by_name: dict[str, Item] = {}
    parent: Optional[Order] = None  # noqa: UP045
    where: Union[IPv4Address, PurePosixPath, None] = None  # noqa: UP007
    colour: Colour = Colour.RED
    pair: tuple[int, str] = (1, "a")
    key: uuid.UUID = uuid.UUID(int=1)
    took: timedelta = timedelta(seconds=1)
    url: HttpUrl | None = None
    data: Any = None


class Aliased(BaseModel):
    x: int = Field(alias="X")
    y: int = Field(validation_alias=AliasChoices("why", "Y"), serialization_alias="ypsilon", default=0)


class Crossed(BaseModel):
    """Each has the other's name for an alias."""

    model_config = ConfigDict(extra="forbid")
    x: int = Field(alias="y")
    y: int = Field(alias="x")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    x: int
    at: datetime = NOW
    members: frozenset[int] = frozenset({1})

    @computed_field
    @property
    def doubled(self) -> int:
        return self.x * 2

    @cached_property
    def squared(self) -> int:
        return self.x**2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


class Private(BaseModel):
    x: int
    _seen: int = PrivateAttr(default=0)


class Secret(BaseModel):
    x: SecretStr


class Hidden(BaseModel):
    x: int
    y: int = Field(default=0, exclude=True)


class Rounded(BaseModel):
    x: float

    @field_serializer("x")
    def rounded(self, x):
        return round(x)


class Bytes(BaseModel):
    x: bytes


class Based(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")
    x: bytes
    y: float = 0.0


class Sub(Item):
    pass


class Page(BaseModel, Generic[T]):
    items: list[T]


class Numbers(RootModel[list[int]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Pet(BaseModel):
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]


@pydantic_dataclass
class Point:
    x: int
    item: Item | None = None


@dataclass
class Holder:
    item: Item
    more: tuple[Item, ...] = ()


class Struct(msgspec.Struct):
    item: Item


def extended():
    item = Item(id=1)
    vars(item)["extra"] = 1
    return item


def squared(x):
    model = Computed(x=x)
    assert model.squared == x**2
    return model


FULL = Item(id=1, price=Decimal("2.50"), tags={"a", "b"}, at=NOW)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Item, Item(id=1)),
        (Item, FULL),
        (Item | None, None),
        (list[Item], [FULL, Item(id=2)]),
        (dict[str, Item], {"a": FULL}),
        (tuple[Item, int], (FULL, 1)),
        (Order, Order(items=[FULL], by_name={"a": FULL}, parent=Order(items=[]))),
        (Order, Order(items=[], where=IPv4Address("127.0.0.1"), url="https://example.com/a")),
        (Order, Order(items=[], where=PurePosixPath("/a"), data={"a": [1, None, 1.5]})),
        (Aliased, Aliased(X=1, why=2)),
        (Crossed, Crossed(x=1, y=2)),
        (Computed, Computed(x=1)),
        (Computed, squared(3)),
        (Open, Open(x=1, y=[1])),
        (Private, Private(x=1)),
        (Based, Based(x=b"\xff\x00", y=float("nan"))),
        (Page[Item], Page[Item](items=[FULL])),
        (Page[int], Page[int](items=[1])),
        (Numbers, Numbers([1, 2])),
        (Pet, Pet(animal=Dog())),
        (Point, Point(1, FULL)),
        (Holder, Holder(FULL, (Item(id=2),))),
        (Struct, Struct(FULL)),
        (Item, Item(id=1, at="2026-01-02T03:04:05+02:00")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_comes_back(kind, value):
    serializer = MsgspecSerializer(kind)
    back = serializer.loads(serializer.dumps(value))
    assert type(back) is type(value)
    assert same(back, value)
    assert "nan" in repr(value) or back == value


def with_private():
    model = Private(x=1)
    model._seen = 1
    return model


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Item, Sub(id=1)),
        (list[Item], [Sub(id=1)]),
        (Item, {"id": 1}),
        (Item, Item.model_construct(id=True)),
        (Item, Item.model_construct(id="1")),
        (Item, Item.model_construct()),
        (Item, extended()),
        (Item, Item(id=1, at=NOW.astimezone(timezone(timedelta(hours=2))))),
        (Order, Order(items=[], data=(1,))),
        (Order, Order(items=[], data=FULL)),
        (Open, Open(x=1, y=(1,))),
        (Private, with_private()),
        (Secret, Secret(x="a")),
        (Hidden, Hidden(x=1, y=1)),
        (Rounded, Rounded(x=1.5)),
        (Bytes, Bytes(x=b"\xff")),
        (Any, FULL),
        (list[Any], [FULL]),
        (Cat | Dog, Cat()),
        (Page[Item], Page[Any](items=[])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_that_would_change_is_refused(kind, value):
    with pytest.raises(SerialisationError, match="annotat"):
        MsgspecSerializer(kind).dumps(value)


@given(st.binary(max_size=40), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), max_size=3))
def test_wrong_bytes_are_a_value_error_or_a_model(junk, flips):
    serializer = MsgspecSerializer(list[Item])
    data = bytearray(serializer.dumps([FULL, Item(id=2)]))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    for wrong in (bytes(data), junk, b"\x91\xa1" + junk):
        try:
            value = serializer.loads(wrong)
        except ValueError:
            continue
        assert [type(item) for item in value] == [Item] * len(value)


def test_an_older_pydantic_goes_by_aliases():
    class Old:
        """As models are before 2.11."""

        @classmethod
        def model_validate_json(cls, text, *, strict=None, context=None):
            return (cls, text)

        def model_dump_json(self, *, by_alias=False, round_trip=False):
            return f"by_alias={by_alias} round_trip={round_trip}"

    assert is_model(Old)
    assert not by_name(Old)
    assert dump(Old()) == "by_alias=True round_trip=True"
    assert load(Old, "{}") == (Old, "{}")


def test_what_is_no_model():
    assert is_model(Item)
    assert is_model(Page[int])
    assert not any(map(is_model, [int, Holder, Item(id=1), list[Item], None]))


MODEL = """
from pydantic import BaseModel, ConfigDict, Field
class Inner(BaseModel):
    y: int = 1
class Kind(BaseModel):
    model_config = ConfigDict(ser_json_bytes="utf8")
    x: int = Field(alias="X")
    inner: Inner | None = None
    self: "Kind | None" = None
"""


def fingerprint(source):
    module = ModuleType("models_of_this_test")
    sys.modules[module.__name__] = module
    exec(source, vars(module))
    return MsgspecSerializer(list[module.Kind]).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y: int = 1", "y: int = 2"),
        ("y: int = 1", "y: str = ''"),
        ("y: int = 1", "z: int = 1"),
        ("y: int = 1", "y: int = 1\n    z: int = 1"),
        ('alias="X"', 'alias="Y"'),
        ('alias="X"', 'validation_alias="X"'),
        ('"utf8"', '"base64"'),
        ("inner: Inner | None", "inner: Inner | int | None"),
        ("Inner", "Within"),
    ],
)
def test_a_changed_model_has_another_fingerprint(old, new):
    assert old in MODEL
    assert fingerprint(MODEL) == fingerprint(MODEL)
    assert fingerprint(MODEL.replace(old, new)) != fingerprint(MODEL)


def test_how_a_model_names_its_fields_is_in_the_fingerprint(monkeypatch):
    by_names = fingerprint(MODEL)
    monkeypatch.setattr(_shape, "by_name", lambda kind: False)
    assert fingerprint(MODEL) != by_names


def test_pydantic_and_attrs_are_not_imported():
    source = "import sys; from scalekit.cache import MsgspecSerializer as S; s = S(list[int])"
    source += "; s.loads(s.dumps([1])); assert not {'pydantic', 'attrs', 'attr'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", source], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


@attrs.define
class Plain:
    x: int
    y: list[float] = attrs.field(factory=list)


@attrs.frozen(slots=False)
class Frozen:
    x: int = attrs.field(validator=attrs.validators.gt(0))
    inner: Plain | None = None


@attrs.define
class Underscored:
    x: int
    _y: int = 0


@attrs.define
class Uncompared:
    x: int = attrs.field(eq=False)


@attrs.define
class Converted:
    x: int
    y: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self):
        self.y += self.x


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Plain, Plain(1, [1.5])),
        (Plain, Plain(1, [2])),
        (Frozen, Frozen(1, Plain(2))),
        (list[Frozen | None], [Frozen(1), None]),
        (Underscored, Underscored(1)),
        (Uncompared, Uncompared(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_of_attrs_comes_back(kind, value):
    serializer = MsgspecSerializer(kind)
    back = serializer.loads(serializer.dumps(value))
    assert type(back) is type(value)
    assert same(value, back)
    assert back == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Plain, Plain(True)),
        (Plain, Plain("1")),
        (Plain, Plain(1, (1.5,))),
        (Underscored, Underscored(1, 2)),  # msgspec leaves out what is private in slots
        (Converted, Converted(1)),
        (Frozen, attrs.evolve(Frozen(1), inner=Frozen(1))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_of_attrs_that_would_change_is_refused(kind, value):
    with pytest.raises(SerialisationError, match="return what the annotation"):
        MsgspecSerializer(kind).dumps(value)
