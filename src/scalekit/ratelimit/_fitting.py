"""What fits which face: the twins differ only in which of these they call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeGuard

from scalekit.errors import ConfigurationError
from scalekit.ratelimit.protocols import (
    ConcurrencyStore,
    NonblockingConcurrencyStore,
    NonblockingRateLimitStore,
    RateLimitStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.ratelimit.protocols import AsyncConcurrencyStore, AsyncRateLimitStore


class InsideStore:
    """A store within the process, as `AsyncRateLimiter` calls it.

    `hit` and `peek` are the store's own and return a verdict at once: a coroutine for each would be a
    tenth of the time of a hit. The others, which nobody waits for, are awaited like any async store's.
    """

    __slots__ = ("_store", "hit", "peek")

    hit: Callable[[str, Quota, int, int], Verdict]
    peek: Callable[[str, Quota, int, int], Verdict]

    def __init__(self, store: NonblockingRateLimitStore) -> None:
        self._store = store
        self.hit = store.hit
        self.peek = store.peek

    async def refund(self, key: str, quota: Quota, cost: int, now: int, /) -> None:
        """Take back the newest `cost` units."""
        self._store.refund(key, quota, cost, now)

    async def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        self._store.reset(key)


def fitting_store(store: RateLimitStore) -> RateLimitStore:
    """Return `store` if it fits `RateLimiter`; raises `ConfigurationError`, or `TypeError` if it is async."""
    if _is_async(store):
        raise TypeError(f"{type(store).__name__} is an async store: use AsyncRateLimiter, or its sync twin")
    return store


def async_fitting_store(
    store: AsyncRateLimitStore | NonblockingRateLimitStore,
) -> AsyncRateLimitStore | InsideStore:
    """Return `store` as `AsyncRateLimiter` calls it.

    Raises `ConfigurationError`, or `TypeError` if it would block the event loop.
    """
    if _is_async(store):
        return store
    # The value besides the protocol: from Python 3.12 on `isinstance` asks for no more than the name.
    if isinstance(store, NonblockingRateLimitStore) and getattr(store, "nonblocking", False) is True:
        return InsideStore(store)
    raise TypeError(f"{type(store).__name__} would block the event loop: use RateLimiter, or its async twin")


class InsideConcurrencyStore:
    """A store of places within the process, as `AsyncConcurrencyLimiter` calls it."""

    __slots__ = ("_store",)

    def __init__(self, store: NonblockingConcurrencyStore) -> None:
        self._store = store

    async def acquire(
        self, key: str, holder: str, places: int, lease: int, wake: Callable[[], object], /
    ) -> float:
        """Give `holder` a place, or a rank in the line."""
        return self._store.acquire(key, holder, places, lease, wake)

    async def renew(self, key: str, holder: str, lease: int, /) -> bool:
        """Return whether `holder` has a place."""
        return self._store.renew(key, holder, lease)

    async def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line."""
        self._store.release(key, holder)


def fitting_concurrency_store(store: ConcurrencyStore) -> ConcurrencyStore:
    """Return `store` if it fits `ConcurrencyLimiter`; or raise `ConfigurationError`, `TypeError` if async."""
    if _is_async_concurrency(store):
        name = type(store).__name__
        raise TypeError(f"{name} is an async store: use AsyncConcurrencyLimiter, or its sync twin")
    return store


def async_fitting_concurrency_store(
    store: AsyncConcurrencyStore | NonblockingConcurrencyStore,
) -> AsyncConcurrencyStore:
    """Return `store` as `AsyncConcurrencyLimiter` calls it.

    Raises `ConfigurationError`, or `TypeError` if it would block the event loop.
    """
    if _is_async_concurrency(store):
        return store
    if isinstance(store, NonblockingConcurrencyStore) and getattr(store, "nonblocking", False) is True:
        return InsideConcurrencyStore(store)
    name = type(store).__name__
    raise TypeError(f"{name} would block the event loop: use ConcurrencyLimiter, or its async twin")


def _is_async_concurrency(store: object) -> TypeGuard[AsyncConcurrencyStore]:
    if isinstance(store, type) or not isinstance(store, ConcurrencyStore):
        raise ConfigurationError("store", store, "as an object with the methods of a ConcurrencyStore")
    return inspect.iscoroutinefunction(store.acquire)


def _is_async(store: object) -> TypeGuard[AsyncRateLimitStore]:
    if isinstance(store, type) or not isinstance(
        store, RateLimitStore
    ):  # the names of the methods, which both protocols share
        raise ConfigurationError("store", store, "as an object with the methods of a RateLimitStore")
    return inspect.iscoroutinefunction(store.hit)


def fitting_function(function: Callable[..., object]) -> None:
    """Raise `TypeError` if `RateLimiter.limited` cannot decorate `function`, because it is async."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__qualname__} is async: decorate it with AsyncRateLimiter.limited")


def async_fitting_function(function: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """Raise `TypeError` if `AsyncRateLimiter.limited` cannot decorate `function`, because it is not async."""
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__qualname__} is not async: decorate it with RateLimiter.limited")


def fitting_callables(**callables: object) -> None:
    """Raise `ConfigurationError` for the first of `callables` that is none."""
    for parameter, value in callables.items():
        if not callable(value):
            raise ConfigurationError(parameter, value, "as a callable")


def fitting_flag(parameter: str, value: bool) -> bool:  # noqa: FBT001  # it is what is looked at
    """Return `value` if it is True or False; raises `ConfigurationError` for anything else."""
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(parameter, value, "as True or False")
    return value
