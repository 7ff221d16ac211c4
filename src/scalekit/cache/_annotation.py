"""What a function says that it returns, as a type that a serializer can use."""

from __future__ import annotations

import collections.abc
import inspect
import types
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NamedTuple,
    NewType,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTAINERS: frozenset[Any] = frozenset(
    {list, tuple, set, frozenset, dict}
    | {collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection}
    | {collections.abc.Set, collections.abc.MutableSet}
    | {collections.abc.Mapping, collections.abc.MutableMapping}
)
_MAPPINGS: frozenset[Any] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})


class Annotation(NamedTuple):
    """A type; `problem` says why it is not the one that was meant."""

    kind: Any
    problem: str | None = None


def returned(function: Callable[..., Any]) -> Annotation:
    """Return what `function` is annotated to return; `Any` if that is nothing, or cannot be read."""
    function = inspect.unwrap(function)
    try:
        annotation = function.__annotations__.get("return", Any)
    except (
        AttributeError,
        NameError,
    ) as error:  # a callable object; a name that is not there, from Python 3.14
        return Annotation(Any, None if isinstance(error, AttributeError) else str(error))
    # Of this one alone: parameters may be annotated with names that only a type checker knows.
    alone = types.SimpleNamespace(__annotations__={"return": annotation})
    try:
        names = getattr(function, "__globals__", {})
        return Annotation(get_type_hints(cast("Any", alone), names, include_extras=True)["return"])
    except Exception as error:  # noqa: BLE001  # a text is evaluated, and may raise whatever it likes
        return Annotation(Any, f"{annotation!r} cannot be looked up where the function is defined: {error}")


def returned_items(function: Callable[..., Any]) -> Annotation:
    """Return what the values of the mapping are that `function` is annotated to return."""
    whole = returned(function)
    arguments = get_args(whole.kind)
    if get_origin(whole.kind) in _MAPPINGS and len(arguments) == len(("key", "value")):
        return Annotation(arguments[1])
    if whole.problem is None and whole.kind is not Any:
        return Annotation(Any, f"{whole.kind!r} does not say what the values of the mapping are")
    return Annotation(Any, whole.problem)


def widened(kind: Any) -> Any:
    """Return `kind` with int besides float, so that an int comes back as one, and Any for object."""
    if kind in {float, object}:
        return int | float if kind is float else Any
    if isinstance(kind, NewType) or type(kind).__name__ == "TypeAliasType":  # `type Alias = …`
        return widened(kind.__supertype__ if isinstance(kind, NewType) else kind.__value__)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin in {Union, types.UnionType}:
        return cast("Any", Union)[tuple(widened(argument) for argument in arguments)]
    if origin in _CONTAINERS and arguments:
        return origin[tuple(widened(argument) for argument in arguments)]
    return kind


def _annotated(kind: Any, notes: tuple[Any, ...]) -> Any:
    inner = widened(kind)
    # Notes that constrain a number are refused on a union of numbers, but not on each of them.
    members = get_args(inner) if get_origin(inner) in {Union, types.UnionType} and kind is float else (inner,)
    return cast("Any", Union)[tuple(cast("Any", Annotated)[(member, *notes)] for member in members)]
