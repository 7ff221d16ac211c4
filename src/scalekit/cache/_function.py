"""What `cached` and `cached_many` return."""

from __future__ import annotations

import inspect
import sys
from functools import update_wrapper, wraps
from operator import attrgetter
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from scalekit.cache._signature import CallSignature
    from scalekit.cache._warm import OnProgress, WarmReport

Call: TypeAlias = "tuple[Any, ...] | list[Any] | dict[str, Any]"

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")


class CachedFunction(Protocol[P, R_co]):
    """A function whose results a `Cache` keeps. Called like the function itself."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself, uncached."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the cached value of this call, or load it."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return this call's key, as `Cache.get` and `Cache.delete` take it."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove this call's entry; a load that is running for it will not be stored."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Load this call's value now, store and return it.

        If the load fails, the old entry stays; also if the store fails, which `on_error` excuses as for any
        load. So it is no invalidation, which is raised or queued when it is lost: use `invalidate` for that.
        """
        ...

    def warm(
        self, calls: Iterable[Call], /, *, concurrency: int = 4, on_progress: OnProgress | None = None
    ) -> WarmReport:
        """Load the values of `calls` that are not there yet, `concurrency` (>= 1, by default 4) at a time.

        Each call is a tuple of positional arguments, such as `(7,)`, or a dict of keywords. `on_progress` is
        called with (done, total) after each. A load that fails counts as failed, and the others go on.
        """
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None, /
    ) -> CachedFunction[Q, R_co]: ...


class AsyncCachedFunction(Protocol[P, R_co]):
    """A coroutine function whose results an `AsyncCache` keeps. Called like the function itself."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The function itself, uncached."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Return the cached value of this call, or load it."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return this call's key, as `AsyncCache.get` and `AsyncCache.delete` take it."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        """Remove this call's entry; a load that is running for it will not be stored."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Load this call's value now, store and return it.

        If the load fails, the old entry stays; also if the store fails, which `on_error` excuses as for any
        load. So it is no invalidation, which is raised or queued when it is lost: use `invalidate` for that.
        """
        ...

    def warm(
        self, calls: Iterable[Call], /, *, concurrency: int = 4, on_progress: OnProgress | None = None
    ) -> Coroutine[Any, Any, WarmReport]:
        """Load the values of `calls` that are not there yet, `concurrency` (>= 1, by default 4) at a time.

        Everything as `CachedFunction.warm` has it.
        """
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: AsyncCachedFunction[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None, /
    ) -> AsyncCachedFunction[Q, R_co]: ...


class CachedManyFunction(Protocol[K, V]):
    """A function of many ids whose items a `Cache` keeps one by one."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[..., Mapping[K, V]]:
        """The function itself, uncached."""
        ...

    def __call__(self, ids: Iterable[K], /, **kwargs: Any) -> dict[K, V]:
        """Return the items of `ids`, in their order, each id once; ids without an item are absent."""
        ...

    def key(self, id: K, /) -> str:  # noqa: A002  # the field's own word
        """Return an item's key, as `Cache.get` and `Cache.delete` take it."""
        ...

    def invalidate(self, *ids: K) -> None:
        """Remove the items of `ids`; loads that are running for them will not be stored."""
        ...

    def refresh(self, *ids: K, **kwargs: Any) -> dict[K, V]:
        """Load the items of `ids` now, in one load, store and return them."""
        ...

    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...


class AsyncCachedManyFunction(Protocol[K, V]):
    """A coroutine function of many ids whose items an `AsyncCache` keeps one by one."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[..., Coroutine[Any, Any, Mapping[K, V]]]:
        """The function itself, uncached."""
        ...

    def __call__(self, ids: Iterable[K], /, **kwargs: Any) -> Coroutine[Any, Any, dict[K, V]]:
        """Return the items of `ids`, in their order, each id once; ids without an item are absent."""
        ...

    def key(self, id: K, /) -> str:  # noqa: A002  # the field's own word
        """Return an item's key, as `AsyncCache.get` and `AsyncCache.delete` take it."""
        ...

    def invalidate(self, *ids: K) -> Coroutine[Any, Any, None]:
        """Remove the items of `ids`; loads that are running for them will not be stored."""
        ...

    def refresh(self, *ids: K, **kwargs: Any) -> Coroutine[Any, Any, dict[K, V]]:
        """Load the items of `ids` now, in one load, store and return them."""
        ...

    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...


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
    # The class and not each object: what `functools.wraps` copies of an object may go to a plain function.
    inspect.markcoroutinefunction(_AsyncBoundMethod)

# Each class has these of its own, so that `__getattr__` would never be asked for them.
for _class in (_BoundMethod, _AsyncBoundMethod):
    for _name in ("__doc__", "__module__"):
        setattr(_class, _name, property(attrgetter(f"__func__.{_name}")))

_BINDING = frozenset({"key", "invalidate", "refresh", "warm", "__wrapped__"})
