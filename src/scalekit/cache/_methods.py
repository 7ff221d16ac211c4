"""How a cached function binds to an object, or to a class, with its methods."""

from __future__ import annotations

import inspect
import sys
from functools import update_wrapper, wraps
from operator import attrgetter
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scalekit.cache._signature import CallSignature


class CachedMethod:
    """What a decorator makes of a function in a class body: it binds, its methods included."""

    __wrapped__: Callable[..., Any]
    __qualname__: str

    def __init__(self, function: Any, methods: Mapping[str, Callable[..., Any]]) -> None:
        self._function = function
        self._bound = _AsyncBoundMethod if inspect.iscoroutinefunction(function) else _BoundMethod
        update_wrapper(self, function.__wrapped__)
        vars(self).update(methods)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        return self if instance is None else self._bound(self._function, instance)

    def __reduce__(self) -> str:
        return self.__qualname__  # a function is pickled by its name, and copied as itself

    def __repr__(self) -> str:
        return f"<cached {self.__qualname__}>"


class CachedClassMethod(CachedMethod):
    """What a decorator makes of a classmethod."""

    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        return self._bound(self._function, type(instance) if owner is None else owner)


def finished(wrapper: Any, signature: CallSignature, **methods: Callable[..., Any]) -> Any:
    """Return `wrapper` with its `methods`, as something that binds like a method where it is one."""
    for name, method in methods.items():
        method.__name__ = name
        method.__qualname__ = f"{signature.function.__qualname__}.{name}"
        setattr(wrapper, name, method)
    if signature.binds is staticmethod:
        static: Any = staticmethod(wrapper)
        static.__dict__.update(methods)
        return static
    if signature.receiver is None:
        return wrapper
    if signature.binds is classmethod:
        return CachedClassMethod(wrapper, methods)
    if signature.receiver == "cls":
        methods = {name: _for_class(method) for name, method in methods.items()}
    return CachedMethod(wrapper, methods)


def _for_class(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method` of a @classmethod above the decorator: from Python 3.13 on, nothing binds it.

    An id or another argument would pass for the class, and the invalidation of nothing for that of its entry.
    """

    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not args or not isinstance(args[0], type):
            msg = (
                f"{method.__qualname__}() is bound to no class: put the cache's decorator above @classmethod"
            )
            raise TypeError(msg)
        return method(*args, **kwargs)

    return checked


class _BoundMethod:
    """It is to its object what a method of Python's is, to be compared, copied, pickled and referred to."""

    __slots__ = ("__func__", "__self__", "__weakref__")

    def __init__(self, function: Any, instance: object) -> None:
        self.__func__ = function
        self.__self__ = instance

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "__func__":  # of one that is not made yet: to look it up in itself would not end
            raise AttributeError(name)
        value = getattr(self.__func__, name)
        return MethodType(value, self.__self__) if name in _BINDING else value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _BoundMethod):
            return NotImplemented
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, str]]:
        return getattr, (self.__self__, self.__func__.__name__)

    def __repr__(self) -> str:
        return f"<cached {self.__func__.__qualname__} of {self.__self__!r}>"


class _AsyncBoundMethod(_BoundMethod):
    __slots__ = ()


if sys.version_info >= (3, 12):
    # The class and not each object: what `functools.wraps` copies of an object may go to a plain function. By
    # way of a function, since what has a `__func__`, as this class, is marked there.
    @inspect.markcoroutinefunction
    def _marked() -> None: ...

    for _name, _mark in vars(_marked).items():
        setattr(_AsyncBoundMethod, _name, _mark)

# Each class has these of its own, so that `__getattr__` would never be asked for them.
for _class in (_BoundMethod, _AsyncBoundMethod):
    for _name in ("__doc__", "__module__"):
        setattr(_class, _name, property(attrgetter(f"__func__.{_name}")))

_BINDING = frozenset({"key", "invalidate", "refresh", "warm", "__wrapped__"})
