"""Cached exceptions as bytes, beside the values of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.cache._raised import Raised
from scalekit.cache._same import same
from scalekit.cache._serialized import dumped
from scalekit.errors import SerialisationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scalekit.cache.protocols import Serializer

_MARK = b"\xc1"
_VALUE, _ERROR = _MARK + b"v", _MARK + b"e"


class RaisedSerializer:
    """Writes values with `serializer`, and a `Raised` as its error's class, arguments and attributes.

    Only exceptions of `classes`, and of subclasses of these that are loaded, come back: what the bytes say is
    looked up among them, never imported. `plain` writes the arguments: None, numbers, texts, bytes, lists and
    dicts of these. Notes are kept, as all attributes are; traceback, `__cause__` and `__context__` are not.
    """

    __slots__ = ("_classes", "_fingerprint", "_known", "_loads", "_plain", "_serializer")

    def __init__(
        self, serializer: Serializer, classes: Iterable[type[Exception]], /, *, plain: Serializer
    ) -> None:
        self._serializer = serializer
        self._loads = serializer.loads
        self._classes = tuple(classes)
        self._plain = plain
        self._known: dict[str, type[Exception]] = {}
        self._fingerprint: bytes | None = None

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the values' format and type, and for the names of the classes."""
        if self._fingerprint is None:
            import hashlib  # noqa: PLC0415  # a tenth of the block's import time, for stores of bytes alone

            told = (self._serializer.fingerprint, self._plain.fingerprint, sorted(map(_name, self._classes)))
            self._fingerprint = hashlib.sha256(repr(told).encode()).digest()[:8]
        return self._fingerprint

    def dumps(self, value: Any, /) -> bytes:
        """Return a value, or a `Raised`, as bytes.

        Raises `SerialisationError` if it would not come back equal in value and type; for a `Raised`, its
        error is the cause.
        """
        if type(value) is Raised:
            return _ERROR + self._written(value.error)
        data = dumped(self._serializer, value)
        return _VALUE + data if data.startswith((_VALUE, _ERROR)) else data

    def loads(self, data: bytes, /) -> Any:
        """Return what `dumps` wrote; `ValueError` for bytes that it did not write."""
        if not data.startswith(_MARK):
            return self._loads(data)
        if data.startswith(_ERROR):
            return Raised(self._read(data[len(_ERROR) :]))
        return self._loads(data.removeprefix(_VALUE))

    def allowing(self, classes: Iterable[type[Exception]]) -> Serializer:
        """Return what reads and writes the same values, and exceptions of `classes` besides."""
        return KeySerializer(self, self._serializer, (*self._classes, *classes), plain=self._plain)

    def _written(self, error: Exception) -> bytes:
        try:
            made: Any = error.__reduce__()
            kind, arguments, *rest = made
            state = rest[0] if rest else None
            if kind is not type(error):
                raise TypeError("its __reduce__ calls another function than its class")  # noqa: TRY301  # one remedy
            data = self._plain.dumps([_name(kind), list(arguments), state])
            back = self._read(data)
            kept = type(back) is kind and same(_all_of(error), _all_of(back))
        except Exception as reason:  # noqa: BLE001  # classes say how they are made
            raise SerialisationError(_refusal(error, str(reason))) from error
        if not kept:
            raise SerialisationError(_refusal(error, f"it would come back as {back!r}")) from error
        return data

    def _read(self, data: bytes) -> Exception:
        try:
            name, arguments, state = self._plain.loads(data)
            error = self._class(name)(*arguments)
            if state is not None:
                error.__setstate__(state)
        except Exception as reason:  # the class may have changed since
            raise ValueError(str(reason)) from reason
        return error

    def _class(self, name: str) -> type[Exception]:
        if name not in self._known:
            self._known = {_name(kind): kind for kind in _with_subclasses(self._classes)}
            if name not in self._known:
                raise ValueError(f"{name} is none of the exceptions to be cached, or is not loaded")
        return self._known[name]


class KeySerializer(RaisedSerializer):
    """Writes values of a key as `like` does, so that each reads those of the other; and exceptions besides.

    `inner` is what `like` writes values with. Who has not been told of an exception's class finds nothing.
    """

    __slots__ = ("_like",)

    def __init__(
        self,
        like: Serializer,
        inner: Serializer,
        classes: Iterable[type[Exception]] = (),
        /,
        *,
        plain: Serializer,
    ) -> None:
        super().__init__(inner, classes, plain=plain)
        self._like = like

    @property
    def fingerprint(self) -> bytes:
        """That of `like`."""
        return self._like.fingerprint

    def dumps(self, value: Any, /) -> bytes:
        """Return a value as `like` does, or a `Raised`, as bytes.

        Raises `SerialisationError` as `RaisedSerializer.dumps` does, and for a value that would be read as a
        `Raised`.
        """
        if isinstance(self._like, RaisedSerializer) or type(value) is Raised:
            return super().dumps(value)
        data = dumped(self._serializer, value)
        if data.startswith(_ERROR):  # escaped, `like` could not read it
            raise SerialisationError(f"cannot cache bytes that begin with {_ERROR!r} beside exceptions")
        return data

    def loads(self, data: bytes, /) -> Any:
        """Return what `dumps` or `like` wrote; `ValueError` for bytes that neither did."""
        if isinstance(self._like, RaisedSerializer) or data.startswith(_ERROR):
            return super().loads(data)
        return self._loads(data)

    def allow(self, classes: Iterable[type[Exception]]) -> None:
        """Let exceptions of `classes` come back, too."""
        added = [kind for kind in classes if kind not in self._classes]
        if added:
            self._classes = (*self._classes, *added)


def _all_of(error: Exception) -> list[object]:
    return [error.args, object.__getstate__(error)]


def _with_subclasses(classes: Iterable[type[Exception]]) -> list[type[Exception]]:
    found = list(dict.fromkeys(classes))
    for kind in found:  # it grows meanwhile
        found += [subclass for subclass in kind.__subclasses__() if subclass not in found]
    return found


def _name(kind: type[Exception]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _refusal(error: Exception, reason: str) -> str:
    return (
        f"cannot cache {type(error).__qualname__} as it is: {reason}; hand all arguments of its __init__ on "
        "to super().__init__(), as plain values, or take it out of cache_exceptions"
    )
