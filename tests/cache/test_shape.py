"""A changed type has another fingerprint; the same type has one everywhere."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from itertools import combinations
from typing import Any, Optional, Union

import msgspec
import pytest

from scalekit.cache import Cache, MsgspecSerializer, _frame
from scalekit.cache._shape import shape_of
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink

HEAD = """
import enum, msgspec
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
T = TypeVar("T")
"""
PRODUCT = """
class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"

@dataclass
class Size:
    width: float
    names: frozenset[str] = frozenset({"a", "b", "c"})
    parts: "list[Size]" = field(default_factory=list)

@dataclass
class Product:
    id: int
    colour: Colour
    sizes: tuple[Size, ...] = ()

Kind = Product
"""
CHANGES = [
    ("colour: Colour", "colour: Colour\n    name: str = ''"),
    ("    id: int\n", ""),
    ("id: int", "key: int"),
    ("id: int", "id: str"),
    ("id: int", "id: int | None"),
    ("width: float", "width: int"),
    ("width: float", "height: float"),
    ("width: float", "width: float\n    depth: float = 0"),
    ('"a", "b", "c"', '"a", "b"'),
    ("list[Size]", "tuple[Size, ...]"),
    ("default_factory=list", "default_factory=lambda: []"),
    ('BLUE = "b"', 'BLUE = "b"\n    GREEN = "g"'),
    ('BLUE = "b"', ""),
    ('BLUE = "b"', 'BLUE = "B"'),
    ("BLUE", "NAVY"),
    ('RED = "r"\n    BLUE = "b"', 'RED = "b"\n    BLUE = "r"'),
    ("tuple[Size, ...]", "list[Size]"),
    ("tuple[Size, ...] = ()", "tuple[Size, ...] | None = None"),
    ("Product", "Goods"),
    ("Kind = Product", "Kind = list[Product]"),
    ("Kind = Product", "Kind = Product | None"),
    ("@dataclass\nclass Product", "class Product(msgspec.Struct)"),
]
# More kinds of types; all are different from each other.
OTHERS = [
    "class Kind(msgspec.Struct): x: int = 1",
    "class Kind(msgspec.Struct): x: int = 2",
    "class Kind(msgspec.Struct): x: int = True",
    "class Kind(msgspec.Struct, tag=True): x: int = 1",
    "class Kind(msgspec.Struct, array_like=True): x: int = 1",
    "class Kind(msgspec.Struct, rename='upper'): x: int = 1",
    "class Kind(NamedTuple): x: int",
    "class Kind(NamedTuple): y: int",
    "class Kind(TypedDict): x: int",
    "class Kind(TypedDict, total=False): x: int",
    "class Kind(enum.IntEnum): x = 1",
    "Kind = Literal[1, 2]",
    "Kind = Literal[1, 'a']",
    "Kind = Annotated[int, msgspec.Meta(ge=1)]",
    "@dataclass\nclass G(Generic[T]): x: T\nKind = G[int]",
    "@dataclass\nclass G(Generic[T]): x: T\nKind = G[str]",
    "@dataclass\nclass G(Generic[T]): x: T\nKind = G",
    "class A: pass\nKind = A",
    "class A: pass\nKind = Sequence[A]",
    "class A: pass\nKind = Union[A, int]",
    "class A: pass\nKind = Union[A, str]",
    "class A: pass\nKind = dict[str, A]",
    "Kind = 'no type'",
    "Kind = NewType('Id', str)",
    "Kind = T",
    "Json = Union[int, list['Json']]\nKind = Json",
    "class Node(msgspec.Struct): next: 'Node | None' = None\nKind = Node",
    "class Node(msgspec.Struct): last: 'Node | None' = None\nKind = Node",
    "class Lost(msgspec.Struct): next: 'Nowhere' = None\nKind = Lost",
    "class Default(msgspec.Struct):\n    x: object = msgspec.field(default_factory=dict)\nKind = Default",
    "@dataclass\nclass Kind: x: dict = field(default_factory=dict)",
    "class A(msgspec.Struct): x: 'B'\nclass B(msgspec.Struct): \n    a: A\n    b: A\nKind = A",
    "class A(msgspec.Struct): x: 'B'\nclass B(msgspec.Struct): \n    a: A\n    b: 'B'\nKind = A",
    "@dataclass(frozen=True)\nclass Z: x: int\n@dataclass\nclass Kind: x: Z = Z(1)\n",
]
SOURCES = [PRODUCT, *(PRODUCT.replace(old, new) for old, new in CHANGES), *OTHERS]


def kind(source):
    """Return what `source` calls Kind, in a module that is always called the same."""
    from types import ModuleType

    module = ModuleType("shop_of_this_test")
    sys.modules[module.__name__] = module
    exec(HEAD + source, vars(module))
    return module.Kind


def fingerprint(source):
    return MsgspecSerializer(kind(source)).fingerprint


PRINT = """
import sys
from tests.cache.test_shape import SOURCES, fingerprint
print([fingerprint(source).hex() for source in SOURCES])
"""


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_changed_class_has_another_fingerprint(old, new):
    assert old in PRODUCT
    assert fingerprint(PRODUCT.replace(old, new)) != fingerprint(PRODUCT)


def test_different_types_have_different_fingerprints():
    prints = [fingerprint(source) for source in SOURCES]
    same = [pair for pair in combinations(range(len(SOURCES)), 2) if prints[pair[0]] == prints[pair[1]]]
    assert [(SOURCES[i], SOURCES[j]) for i, j in same] == []


def test_a_type_has_one_fingerprint_in_all_processes():
    here = [fingerprint(source).hex() for source in SOURCES]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        answer = subprocess.run(
            [sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == str(here)


def test_two_spellings_of_a_type_are_one():
    for one, other in [
        (int | None, Optional[int]),  # noqa: UP045
        (Union[int, str], int | str),  # noqa: UP007
        (list, list[Any]),
    ]:
        assert MsgspecSerializer(one).fingerprint == MsgspecSerializer(other).fingerprint


def test_no_address_gets_into_a_shape():
    class Odd:
        pass

    class Holder(msgspec.Struct):
        x: Any = Odd()
        y: Any = len
        z: Any = msgspec.field(default_factory=Odd)

    assert "0x" not in shape_of(Holder, msgspec.inspect.type_info)
    assert "Odd" in shape_of(Holder, msgspec.inspect.type_info)


def test_a_type_that_msgspec_cannot_decode_yet_has_another_fingerprint(monkeypatch):
    """Or what one version wrote typed, an older one would read as plain values."""
    newer = MsgspecSerializer(set[int]).fingerprint
    decoder = msgspec.msgpack.Decoder

    def older(kind=Any, **options):
        if kind is not Any:
            raise TypeError("not yet")
        return decoder(kind, **options)

    monkeypatch.setattr(msgspec.msgpack, "Decoder", older)
    assert MsgspecSerializer(set[int]).fingerprint != newer


def test_hooks_are_part_of_a_fingerprint_by_their_names():
    def first(value):
        raise NotImplementedError

    def second(value):
        raise NotImplementedError

    prints = {MsgspecSerializer(int, enc_hook=hook).fingerprint for hook in (None, first, second)}
    assert len(prints) == 3


@pytest.fixture
def store(redis_url, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    link = RedisLink.from_url(redis_url, timeout="10s")
    yield RedisCacheStore(link)
    link.close()


def loads_of(store, source):
    """Return how often a function that returns a Product loads, called twice by a process of its own."""
    loads = []
    made = kind(source)

    def product():
        loads.append(1)
        colour = next(iter(sys.modules[made.__module__].Colour))
        given = {"id": 1, "key": 1, "colour": colour}
        return made(
            **{field.name: given[field.name] for field in dataclasses.fields(made) if field.name in given}
        )

    product.__annotations__["return"] = made
    cached = Cache(store, namespace="shop").cached(ttl="1m")(product)
    first, second = cached(), cached()
    assert type(first) is type(second) is made
    assert first == second
    return len(loads)


@pytest.mark.parametrize("change", CHANGES[:3] + CHANGES[11:16])
def test_an_entry_of_a_changed_class_is_a_miss(store, change):
    assert loads_of(store, PRODUCT) == 1
    assert loads_of(store, PRODUCT) == 0
    assert loads_of(store, PRODUCT.replace(*change)) == 1
    assert loads_of(store, PRODUCT.replace(*change)) == 0
