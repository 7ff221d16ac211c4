"""Which function stands behind which name."""

from __future__ import annotations

from types import CodeType, MethodType
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._serializers import Serializers
    from scalekit.cache.protocols import Serializer


class Registry:
    """Which function stands behind which name, so that two never share entries unnoticed.

    It also knows in which way, of those that `serializers` makes, their values are written, and all others.
    """

    __slots__ = ("_claims", "_made", "_others", "_serializers")

    def __init__(self, serializers: Serializers) -> None:
        self._claims: dict[str, tuple[Callable[..., object], ...]] = {}
        self._made = serializers
        self._others = serializers.of_keys()
        self._serializers: dict[str, Serializer] = {}

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

    def claim(self, name: str, function: Callable[..., object], serializer: Serializer) -> None:
        """Take `name` for `function`, whose values `serializer` writes.

        `ConfigurationError` if another function has it: one with other code, or one that the same `def`
        made and that differs in what it closes over or is bound to. A reloaded module, which brings the
        same code once more, may take its names again.
        """
        layers = _layers(function)
        claimed = self._claims.get(name)
        if claimed is not None and claimed[0] != function and not _is_reloaded(claimed, layers):
            raise ConfigurationError(
                "version", name, "different for each function of that name: they would share entries"
            )
        self._claims[name] = layers
        self._serializers[name.partition("(")[0]] = serializer


def _layers(function: Callable[..., object]) -> tuple[Callable[..., object], ...]:
    """Return `function` and, one by one, what decorators that use `functools.wraps` put it around."""
    layers = [function]
    while (inner := getattr(layers[-1], "__wrapped__", None)) is not None and inner not in layers:
        layers.append(inner)
    return tuple(layers)


def _is_reloaded(old: tuple[Callable[..., object], ...], new: tuple[Callable[..., object], ...]) -> bool:
    codes = [[getattr(layer, "__code__", None) for layer in layers] for layers in (old, new)]
    if [_content(code) for code in codes[0]] != [_content(code) for code in codes[1]]:
        return False
    # Running a def or lambda again gives its very code object; reading the file again does not.
    return codes[0][-1] is not codes[1][-1] or not any(_carries(layer) for layer in new)


def _content(code: object) -> object:
    """Return `code` without its place in the file, which moves when something above it is edited."""
    if not isinstance(code, CodeType):
        return code
    constants = tuple(_content(constant) for constant in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=constants)


def _carries(function: object) -> bool:
    """Whether functions of one code may differ: a closure's in its variables, a method's in its object."""
    return bool(getattr(function, "__closure__", None)) or isinstance(function, MethodType)
