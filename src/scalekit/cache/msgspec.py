"""Values as MessagePack, by msgspec: typed where a type is known, and never pickled."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, NamedTuple

from scalekit._extras import require
from scalekit.cache._annotation import Annotation, returned, returned_items, widened
from scalekit.cache._models import dump, is_model, load
from scalekit.cache._same import difference, same
from scalekit.errors import ConfigurationError, SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MsgspecSerializer"]

_PLAIN = "None, numbers of 64 bits, texts, bytes, lists and dicts"
_NO_FUNCTION = "get_or_set() and set() have no function to ask: use cached()"
_FORMAT = "msgpack 2"
_looks = reprlib.Repr()  # of any value, however deep, and whatever its own repr does
_looks.maxstring = _looks.maxother = 100
_texts = reprlib.Repr()
_texts.maxstring = 200


class _Codec(NamedTuple):
    """The work of msgspec for one type."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    exact: Callable[[Any], bool]
    fingerprint: bytes
    annotation: Annotation


class MsgspecSerializer:
    """Writes values of the type `kind` as MessagePack, in a way that gives them back equal and of their type.

    `kind` is a type or an annotation that msgspec knows: dataclasses, `msgspec.Struct`, attrs classes, typed
    dicts and named tuples, enums, dates, UUIDs, decimals, and tuples, sets, lists and dicts of these; models
    of pydantic 2 besides. `Any` keeps plain values (None, numbers, texts, bytes, lists, dicts), and so does a
    type that msgspec does not know. A float may be given as an int, and comes back as one unless it is a
    field of an object. A datetime has no zone, or UTC: MessagePack knows no other.

    `enc_hook(object)` and `dec_hook(type, object)` are msgspec's, for types that neither knows: the first
    returns something that can be written, the second makes an object of `type` from it. For what they do not
    know they raise `NotImplementedError`. Their code is not part of the `fingerprint`.

    It needs `msgspec` when it is first used, not when it is made. What it wrote before a change of `kind`'s
    fields has another `fingerprint`. `ConfigurationError` if a hook cannot be called.
    """

    __slots__ = ("_codec", "_hooks", "_kind")

    def __init__(
        self,
        kind: Any,
        /,
        *,
        enc_hook: Callable[[Any], Any] | None = None,
        dec_hook: Callable[[type[Any], Any], Any] | None = None,
    ) -> None:
        for name, hook in (("enc_hook", enc_hook), ("dec_hook", dec_hook)):
            if hook is not None and not callable(hook):
                raise ConfigurationError(name, hook, "as a callable, or None")
        self._kind: Callable[[], Annotation] = lambda: Annotation(kind)
        self._hooks = _Hooks(enc_hook, dec_hook)
        self._codec: _Codec | None = None

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the format and the type, with all its fields."""
        return (self._codec or self._made()).fingerprint

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as bytes.

        Raises `SerialisationError` if it would not come back equal in value and type. Values that are exactly
        what `kind` says cost a walk through their types; others, and objects with code of their own (models,
        attrs classes, `__post_init__`), a round trip and a comparison: about a microsecond for each part.
        """
        codec = self._codec or self._made()
        try:
            data = codec.encode(value)
            if codec.exact(value):
                return data
            read = codec.decode(data)
            if same(value, read):
                return data
        except Exception as error:  # hooks, and methods of the value's own classes
            raise SerialisationError(_refusal(codec.annotation, value, _short(error))) from error
        raise SerialisationError(_refusal(codec.annotation, value, _change(value, read)))

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` wrote; `ValueError` if it wrote no such thing."""
        codec = self._codec or self._made()
        try:
            return codec.decode(data)
        except Exception as error:  # msgspec 0.19 has no ValueErrors, and hooks may raise anything
            raise ValueError(_short(error)) from error

    def _made(self) -> _Codec:
        codec = self._codec = _codec(self._kind(), self._hooks)
        return codec


def serializer_of(function: Callable[..., Any]) -> MsgspecSerializer:
    """Return the serializer for what `function` says it returns.

    Its annotation is looked up when a value is first stored, so it may name what is defined later.
    Without an annotation, or with one that cannot be looked up, only plain values can be stored.
    """
    return _later(lambda: returned(function))


def item_serializer_of(function: Callable[..., Any]) -> MsgspecSerializer:
    """Return the serializer for one value of the mapping that `function` says it returns."""
    return _later(lambda: returned_items(function))


def _later(kind: Callable[[], Annotation]) -> MsgspecSerializer:
    serializer = MsgspecSerializer(Any)
    serializer._kind = kind  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one noun
    return serializer


class _Hooks(NamedTuple):
    """What msgspec asks about types that it does not know."""

    enc_hook: Callable[[Any], Any] | None
    dec_hook: Callable[[type[Any], Any], Any] | None

    def encoded(self, value: Any) -> Any:
        if self.enc_hook is not None:
            try:
                return self.enc_hook(value)
            except NotImplementedError:
                pass
        if is_model(type(value)):
            return dump(value)
        raise TypeError(f"objects of type {type(value).__qualname__} are unknown to msgspec")

    def decoded(self, kind: Any, value: Any) -> Any:
        if kind is object:
            return value
        if self.dec_hook is not None:
            try:
                return self.dec_hook(kind, value)
            except NotImplementedError:
                pass
        if is_model(kind):
            return load(kind, value)
        raise TypeError(f"the type {kind!r} is unknown to msgspec")


def _codec(annotation: Annotation, hooks: _Hooks) -> _Codec:
    # A third of the block's import time, for stores of bytes alone.
    import hashlib  # noqa: PLC0415

    from scalekit.cache._exact import exactly  # noqa: PLC0415
    from scalekit.cache._shape import shape_of  # noqa: PLC0415

    msgspec: Any = require("msgspec", extra="msgspec", needed_by="MsgspecSerializer")
    describe: Any = require("msgspec.inspect", extra="msgspec", needed_by="MsgspecSerializer").type_info
    kind, problem = Any, annotation.problem
    decoder = msgspec.msgpack.Decoder()
    for wide in (True, False):
        try:
            kind = widened(annotation.kind) if wide else annotation.kind
            decoder, problem = msgspec.msgpack.Decoder(kind, dec_hook=hooks.decoded), annotation.problem
            break
        except Exception as error:  # noqa: BLE001  # a name that is not there, an alias that contains itself, …
            kind, problem = Any, _short(error)
    try:
        exact = exactly(describe(kind))
    except Exception:  # noqa: BLE001  # 0.19 cannot describe all that it can decode
        exact = _never
    told = (_FORMAT, shape_of(annotation.kind, describe), problem is None, *map(_name, hooks))
    fingerprint = hashlib.sha256(repr(told).encode("utf-8", "replace")).digest()[:8]
    encoder = msgspec.msgpack.Encoder(enc_hook=hooks.encoded)
    return _Codec(encoder.encode, decoder.decode, exact, fingerprint, Annotation(annotation.kind, problem))


def _never(_: Any) -> bool:
    return False


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__)


def _short(error: Exception) -> str:
    return _texts.repr(str(error))[1:-1] or type(error).__name__


def _change(value: Any, read: Any) -> str:
    from datetime import datetime  # noqa: PLC0415  # for an error alone

    one, other = difference(value, read)
    shown, back = _looks.repr(one), _looks.repr(other)
    if shown == back:  # a subclass of str, for one, looks like a str
        shown, back = f"{shown} ({type(one).__qualname__})", f"{back} ({type(other).__qualname__})"
    which = "it" if one is value else f"its {shown}"
    zone = isinstance(one, datetime) and one.tzinfo is not None
    return f"{which} would come back as {back}" + (
        ", so store it as .astimezone(datetime.UTC)" if zone else ""
    )


def _refusal(annotation: Annotation, value: object, reason: str) -> str:
    kind, problem = annotation
    if kind is not Any and problem is None:
        remedy = (
            f"return what the annotation {_looks.repr(kind)} says, or correct it to what msgspec knows; "
            "MsgspecSerializer(…, enc_hook=, dec_hook=) is for other types"
        )
    else:
        unread = "" if problem is None else f"its annotation cannot be used ({problem}): "
        remedy = (
            f"{unread}annotate the function's return type with a type that msgspec knows ({_NO_FUNCTION}), "
            f"or keep to {_PLAIN}"
        )
    return f"cannot store {_looks.repr(value)} ({type(value).__qualname__}) as it is: {reason}; {remedy}"
