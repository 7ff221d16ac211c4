from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NewType, Optional, TypeVar, Union

import msgspec
import pytest
from typing_extensions import TypeAliasType

from scalekit.cache._annotation import Annotation, returned, returned_items, widened

if TYPE_CHECKING:
    from nowhere import Unknown

T = TypeVar("T")
Price = NewType("Price", float)
Rate = NewType("Rate", Price)
Prices = TypeAliasType("Prices", list[float])
POSITIVE = msgspec.Meta(gt=0)


@pytest.mark.parametrize(
    ("kind", "wide"),
    [
        (float, int | float),
        (object, Any),
        (int, int),
        (list[float], list[int | float]),
        (dict[float, list[float]], dict[int | float, list[int | float]]),
        (tuple[float, ...], tuple[int | float, ...]),
        (tuple[()], tuple[()]),
        (float | None, int | float | None),
        (Optional[float], Union[int, float, None]),  # noqa: UP007, UP045
        (Sequence[float], Sequence[int | float]),
        (Mapping[str, object], Mapping[str, Any]),
        (Rate, int | float),
        (Prices, list[int | float]),
        (Annotated[float, POSITIVE], Annotated[int, POSITIVE] | Annotated[float, POSITIVE]),
        (Annotated[str, "note"], Annotated[str, "note"]),
        (list, list),
        (T, T),
        ("text", "text"),
    ],
)
def test_a_float_may_be_an_int(kind, wide):
    assert widened(kind) == wide


def test_what_a_function_returns_is_read_from_its_annotation():
    def local() -> list[DefinedBelow]:
        raise NotImplementedError

    def unknown_parameter(x: Unknown) -> int:
        raise NotImplementedError

    @functools.wraps(unknown_parameter)
    def wrapper(*args):
        raise NotImplementedError

    async def later() -> Annotated[str, "note"]:
        raise NotImplementedError

    def nothing():
        raise NotImplementedError

    assert returned(local) == Annotation(list[DefinedBelow])
    assert returned(unknown_parameter) == returned(wrapper) == Annotation(int)
    assert returned(later) == Annotation(Annotated[str, "note"])
    assert returned(nothing) == returned(print) == returned(functools.partial(local)) == Annotation(Any)


class DefinedBelow:
    pass


def test_what_cannot_be_read_is_said():
    def unknown() -> Unknown:
        raise NotImplementedError

    def broken() -> None:
        raise NotImplementedError

    broken.__annotations__["return"] = "1/0"
    assert returned(unknown).kind is returned(broken).kind is Any
    assert "'Unknown'" in returned(unknown).problem
    assert "'1/0'" in returned(broken).problem
    assert returned_items(unknown).problem == returned(unknown).problem


def test_the_items_of_a_mapping():
    def products() -> Mapping[int, list[float]]:
        raise NotImplementedError

    def plain() -> dict:
        raise NotImplementedError

    def nothing():
        raise NotImplementedError

    assert returned_items(products) == Annotation(list[float])
    assert returned_items(plain).kind is Any
    assert "dict" in returned_items(plain).problem
    assert returned_items(nothing) == Annotation(Any)
