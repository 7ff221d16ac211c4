"""Which function stands behind which name."""

from __future__ import annotations

from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
    NoneType,
)
from typing import TYPE_CHECKING

from scalekit.cache._names import texts
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scalekit.cache._serializers import Serializers
    from scalekit.cache.protocols import Serializer


class Registry:
    """Which function stands behind which name, so that two never share entries unnoticed.

    It also knows in which way, of those that `serializers` makes, their values are written, and all others;
    and their templates for tags.
    """

    __slots__ = ("_claims", "_made", "_others", "_serializers", "_templates")

    def __init__(self, serializers: Serializers) -> None:
        self._claims: dict[str, tuple[Callable[..., object], ...]] = {}
        self._made = serializers
        self._others = serializers.of_keys()
        self._serializers: dict[str, Serializer] = {}
        self._templates: set[str] = set()

    def serializer(self, key: str, errors: tuple[type[Exception], ...] = ()) -> Serializer:
        """Return what writes the values of `key`, and exceptions of `errors`.

        It is the way of its function, if it is the key of a call. What is no function's is all written in
        one way, so that who asks for such a key without naming exceptions gets those named before.
        """
        known = self._serializers.get(str(key).partition("(")[0])
        if known is not None:
            return self._made.beside(known, errors)
        self._others.allow(errors)
        return self._others

    def literal(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return `tags`; `ConfigurationError` for a function's template, which no entry carries."""
        given = texts(tags)
        for tag in self._templates.intersection(given):
            raise ConfigurationError(
                "tags", tag, "filled in, as an f-string does: a function of this cache has it as its template"
            )
        return given

    def claim(
        self,
        name: str,
        function: Callable[..., object],
        serializer: Serializer,
        templates: Iterable[str],
    ) -> None:
        """Take `name` for `function`, whose values `serializer` writes and whose tags `templates` make.

        `ConfigurationError` if another function has it: one with other code, or one that the same `def`
        made and that differs in what it closes over or is bound to; so do two objects of one class that are
        called. A reloaded module, which brings the same code once more, may take its names again.
        """
        layers = _layers(function)
        claimed = self._claims.get(name)
        if claimed is not None and claimed[0] != function and not _is_reloaded(claimed, layers):
            called, _, version = name.partition("@")
            expected = (
                f"different for each function that is named {called} in this cache: they would share entries"
            )
            raise ConfigurationError("version", version or None, expected)
        self._claims[name] = layers
        self._serializers[name.partition("(")[0]] = serializer
        self._templates.update(templates)


def _layers(function: Callable[..., object]) -> tuple[Callable[..., object], ...]:
    """Return `function` and, one by one, what decorators that use `functools.wraps` put it around."""
    layers = [function]
    while (inner := getattr(layers[-1], "__wrapped__", None)) is not None and inner not in layers:
        layers.append(inner)
    return tuple(layers)


def _is_reloaded(old: tuple[Callable[..., object], ...], new: tuple[Callable[..., object], ...]) -> bool:
    codes = [[_code(layer) for layer in layers] for layers in (old, new)]
    if [_content(code) for code in codes[0]] != [_content(code) for code in codes[1]]:
        return False
    # Running a def or lambda again gives its very code object; reading the file again does not.
    return codes[0][-1] is not codes[1][-1] or not any(_carries(layer) for layer in new)


def _code(function: Callable[..., object]) -> object:
    """Return the code that a call of `function` runs, or its class if that is not Python's."""
    own: object = getattr(function, "__code__", None)
    return own or getattr(type(function).__call__, "__code__", type(function))


def _content(code: object) -> object:
    """Return `code` without its place in the file, which moves when something above it is edited."""
    if isinstance(code, type):
        return code.__module__, code.__qualname__
    if not isinstance(code, CodeType):
        return code
    constants = tuple(_content(constant) for constant in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=constants)


def _carries(function: object) -> bool:
    """Whether functions of one code may differ: in a closure's variables, or in the object that is called.

    A function of C's has no more to it than its name, unless it is the method of an object.
    """
    if isinstance(function, FunctionType):
        return bool(function.__closure__)
    if isinstance(function, BuiltinFunctionType):
        return not isinstance(function.__self__, (ModuleType, NoneType))
    return not isinstance(function, MethodDescriptorType)
