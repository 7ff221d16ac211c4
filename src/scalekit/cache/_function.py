"""What `cached` and `cached_many` return, as types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

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
        Before anything is loaded, a call that the function does not take raises `TypeError`, and one whose
        arguments no key can have `ConfigurationError`.
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
