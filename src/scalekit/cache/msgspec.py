"""Values as MessagePack, by msgspec: typed where a type is known, and never pickled."""

from __future__ import annotations

import inspect
import reprlib
import types
from typing import TYPE_CHECKING, Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from scalekit._extras import require
from scalekit.cache._same import same
from scalekit.errors import SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MsgspecSerializer"]

_CONTAINERS = (list, tuple, set, frozenset, dict)
_PLAIN = "None, numbers of 64 bits, texts, bytes, lists and dicts"
_looks = reprlib.Repr()  # of any value, however deep, and whatever its own repr does
_looks.maxstring = _looks.maxother = 100


class _Codec(NamedTuple):
    """The work of msgspec for one type."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    fingerprint: bytes
    error: type[Exception]  # of msgspec, which in 0.19 is no ValueError


class MsgspecSerializer:
    """Writes values of the type `kind` as MessagePack, in a way that gives them back equal and of their type.

    `kind` is a type or an annotation that msgspec knows: dataclasses, `msgspec.Struct`, attrs classes, typed
    dicts and named tuples, enums, dates, UUIDs, decimals, and tuples, sets, lists and dicts of these. `Any`
    keeps plain values (None, numbers, texts, bytes, lists, dicts), and so does a type that msgspec does
    not know. A float may be given as an int, and comes back as one unless it is a field of an object.

    It needs `msgspec` when it is first used, not when it is made. What it read or wrote before a change
    of `kind`'s fields has another `fingerprint`.
    """

    __slots__ = ("_codec", "_kind")

    def __init__(self, kind: Any, /) -> None:
        self._kind: Callable[[], Any] = lambda: kind
        self._codec: _Codec | None = None

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the format and the type, with all its fields."""
        return self._made().fingerprint

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as bytes.

        Raises `SerialisationError` if it would not come back equal in value and type. That takes a round
        trip and a walk through the value: some tenths of a microsecond for each part of it.
        """
        codec = self._made()
        try:
            data = codec.encode(value)
            read = codec.decode(data)
            if same(value, read):
                return data
        except (TypeError, ValueError, OverflowError, RecursionError, codec.error) as error:
            raise SerialisationError(self._refusal(value, str(error))) from error
        raise SerialisationError(self._refusal(value, f"it would come back as {_looks.repr(read)}"))

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` wrote; `ValueError` if it wrote no such thing."""
        codec = self._made()
        try:
            return codec.decode(data)
        except (RecursionError, codec.error) as error:
            raise ValueError(str(error)) from error

    def _made(self) -> _Codec:
        codec = self._codec
        if codec is None:
            codec = self._codec = _codec(self._kind())
        return codec

    def _refusal(self, value: object, reason: str) -> str:
        kind = self._kind()
        remedy = (
            f"annotate the function's return type with a type that msgspec knows, or keep to {_PLAIN}"
            if kind is Any
            else f"return what the annotation {_looks.repr(kind)} says, or correct it to what msgspec knows"
        )
        return f"cannot store {_looks.repr(value)} ({type(value).__qualname__}) as it is: {reason}; {remedy}"


def serializer_of(function: Callable[..., Any], *, items: bool = False) -> MsgspecSerializer:
    """Return the serializer for what `function` says it returns, or for the items of the mapping it returns.

    Its annotation is looked up when a value is first stored, so it may name what is defined later.
    Without an annotation, or with one that cannot be looked up, only plain values can be stored.
    """
    serializer = MsgspecSerializer(Any)
    serializer._kind = lambda: _item(_returned(function)) if items else _returned(function)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one noun
    return serializer


def _returned(function: Callable[..., Any]) -> Any:
    function = inspect.unwrap(function)
    try:
        annotation = function.__annotations__.get("return", Any)
        # Of this one alone: parameters may be annotated with names that only a type checker knows.
        alone = types.SimpleNamespace(__annotations__={"return": annotation})
        names = getattr(function, "__globals__", {})
        return get_type_hints(cast("Any", alone), names, include_extras=True)["return"]
    except (AttributeError, NameError, SyntaxError, TypeError):
        return Any


def _item(kind: Any) -> Any:
    """Return the type of the values of a mapping."""
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 else Any  # noqa: PLR2004


def _codec(kind: Any) -> _Codec:
    import hashlib  # noqa: PLC0415  # a tenth of the block's import time, for stores of bytes alone

    msgspec: Any = require("msgspec", extra="msgspec", needed_by="MsgspecSerializer")
    wide = _widened(kind)
    try:
        decoder = msgspec.msgpack.Decoder(wide)
    except TypeError:
        kind = wide = Any
        decoder = msgspec.msgpack.Decoder(wide)
    try:
        schema = repr(sorted(msgspec.json.schema(wide).items()))
    except TypeError:  # keys of tuples, for one, have no JSON Schema
        schema = ""
    # Both: a schema tells fields apart, but not a set from a list, nor one class from its copy.
    fingerprint = hashlib.sha256(f"msgpack {kind!r} {schema}".encode("utf-8", "replace")).digest()[:8]
    return _Codec(msgspec.msgpack.Encoder().encode, decoder.decode, fingerprint, msgspec.MsgspecError)


def _widened(kind: Any) -> Any:
    """Return `kind` with int besides float, so that an int comes back as one."""
    if kind is float:
        return int | float
    origin, arguments = get_origin(kind), tuple(_widened(argument) for argument in get_args(kind))
    if origin in {Union, types.UnionType}:
        return cast("Any", Union)[arguments]
    if origin in _CONTAINERS and arguments:
        return cast("Any", origin)[arguments]
    return kind
