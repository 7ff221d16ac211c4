"""The face for coroutine functions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from scalekit._time import seconds
from scalekit.cache._async_calls import async_cached_function, async_cached_many_function
from scalekit.cache._async_read_many import AsyncReadMany
from scalekit.cache._async_read_through import AsyncReadThrough
from scalekit.cache._callables import async_accepted, check_callable
from scalekit.cache._capabilities import async_usable_store, index_of
from scalekit.cache._chance import chance
from scalekit.cache._entry import Entry
from scalekit.cache._failure import failure
from scalekit.cache._freshness import entry_of
from scalekit.cache._function_plan import SESSION
from scalekit.cache._many import ManyPlan, is_absent
from scalekit.cache._names import Namespace
from scalekit.cache._plan import Plan
from scalekit.cache._policy import policy_of
from scalekit.cache._raised import unwrapped
from scalekit.cache._registry import Registry
from scalekit.cache._serializers import Serializers
from scalekit.cache._watch import Watch
from scalekit.cache.compressed import compressor
from scalekit.cache.memory import MemoryCacheStore
from scalekit.cache.msgspec import MsgspecSerializer, item_serializer_of, serializer_of
from scalekit.events import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
    from typing import ParamSpec, Unpack

    from scalekit._time import Clock, Duration
    from scalekit.cache._failure import OnError, OnErrorInvalidate
    from scalekit.cache._function import AsyncCachedFunction, AsyncCachedManyFunction
    from scalekit.cache._policy import CachePolicy, PolicyOptions
    from scalekit.cache._stats import CacheStats
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import AsyncCacheStore, NonblockingCacheStore, Serializer
    from scalekit.events import Hook

    P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")


class AsyncCache:
    """Keeps the results of functions in a store, and forgets them when told to.

    `store` defaults to a `MemoryCacheStore()`. Caches that share a store are kept apart by their
    `namespace`, which is "cache" by default: give each application that shares a server one of its own.
    `clock` returns seconds and measures lifetimes, those in stores of this process included; by default
    `time.monotonic`. `on_event` receives a `CacheEvent` for everything that happens; None, the default, for
    nothing. Its methods may be called from one event loop at a time.

    **A value whose load began before an invalidation is never served after it, nor handed to a call
    that began after it**, whether a tag, a key or the whole cache was invalidated. Of many tasks
    that miss the same key one load serves all, its value or its exception, which is not kept. A caller
    that is cancelled leaves the load to those who still wait; when nobody does, the load is cancelled.
    A loader that comes back to its own key, directly or through other loaders and tasks that wait for
    each other, loads instead of waiting.

    When the store fails (`BackendError`): with `on_error="load"`, the default, values are loaded and not
    stored, `get` finds nothing; with "raise" the error is raised. An invalidation that cannot be
    delivered, or a `set`, is not lost in silence: with `on_error_invalidate="raise"`, the default, the error
    is raised; with "queue" it is delivered as soon as the store answers, and until then this cache does not
    believe what the store has for its tags or key.

    `compress_above`: a number of bytes; what is longer when it is written to a store that keeps bytes is
    compressed, as by `CompressedSerializer`. None, the default, for never.

    `ConfigurationError` for arguments that make no sense; `TypeError` for a store that would block the
    event loop.
    """

    def __init__(
        self,
        store: AsyncCacheStore | NonblockingCacheStore | None = None,
        *,
        namespace: str = "cache",
        clock: Clock = time.monotonic,
        on_event: Hook | None = None,
        on_error: OnError = "load",
        on_error_invalidate: OnErrorInvalidate = "raise",
        compress_above: int | None = None,
    ) -> None:
        check_callable(clock, "clock", "as a callable that returns seconds")
        if on_event is not None:
            check_callable(on_event, "on_event", "as a callable of one event")
        store = MemoryCacheStore() if store is None else store
        fails = failure(on_error, on_error_invalidate)
        # A hook shall hear of every hit, and what is queued must be doubted: then no hit may bypass the face.
        self._indexed = index_of(store) if on_event is None and not fails.queues else None
        self._names = Namespace(namespace)
        self._serializers = Serializers(
            plain=MsgspecSerializer(Any),
            typed=serializer_of,
            items=item_serializer_of,
            compressed=compressor(compress_above),
        )
        self._registry = Registry(self._serializers)
        self._clock = clock
        self._watch = Watch(guarded(on_event))
        self._reads = AsyncReadThrough(
            async_usable_store(store),
            clock=clock,
            watch=self._watch,
            failure=fails,
            everything=self._names.own_tag,
        )
        self._many = AsyncReadMany(self._reads)

    def cached(
        self,
        policy: CachePolicy | None = None,
        *,
        tags: Tags = (),
        key: Callable[..., object] | None = None,
        serializer: Serializer | None = None,
        version: str | int | None = None,
        typed: bool = True,
        exclude: Iterable[str] = SESSION,
        l1: bool = True,
        **options: Unpack[PolicyOptions],
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], AsyncCachedFunction[P, R]]:
        """Return a decorator that keeps a function's results.

        * `options`: the fields of `CachePolicy` (`ttl`, `none_ttl`, `stale_while_revalidate`,
          `stale_if_error`, `jitter`, `early_refresh`, `cache_exceptions`, `exception_ttl`, `lock`,
          `lease`, `load_timeout`); given besides a `policy`, they replace its own. Without a policy,
          `ttl` is needed.
        * `tags`: templates over the arguments ("user:{user_id}"), or a callable of the arguments
          that returns tags. Invalidating a tag ends every entry that carries it.
        * `key`: a callable of the arguments; what it returns tells entries apart in their stead, besides
          an object whose class defines `__cache_key__()`.
        * `serializer`: for stores that keep bytes; by default values are MessagePack, typed by the
          function's return annotation.
        * `version`: change it when the function's results change their meaning.
        * `typed`: whether 1, 1.0 and True are different arguments; if not, templates write all as 1.
        * `exclude`: parameters that do not tell entries apart; by default `session`, for which a text,
          a number or another value that could tell them apart is then a `ConfigurationError`. A
          method's `self` or `cls` is left out unless its class defines `__cache_key__()`.
        * `l1`: False for results that a tiered store must not answer from its near tier.

        Arguments may be numbers, texts, bytes, None, enums, dates, UUIDs, decimals, paths, frozen
        dataclasses, objects with `__cache_key__()`, and tuples, lists, sets and dicts of these;
        calling with anything else is a `ConfigurationError`. `TypeError` for a plain function, which
        needs `Cache`, or an async generator function.
        """
        policy = policy_of(policy, options, self.cached)
        self._reads.elections.check(policy)

        def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncCachedFunction[P, R]:
            what = async_accepted(function)
            plan = Plan(
                what,
                self._names,
                policy,
                self._serializers.of(what.function, serializer, policy),
                tags=tags,
                key=key,
                version=version,
                typed=typed,
                exclude=exclude,
                l1=l1,
            )
            self._registry.claim(plan.name, what.function, plan.serializer, plan.tags.templates)
            wrapped: AsyncCachedFunction[P, R] = async_cached_function(plan, self._reads, self._indexed)
            return wrapped

        return decorate

    def cached_many(
        self,
        policy: CachePolicy | None = None,
        *,
        tags: Tags = (),
        serializer: Serializer | None = None,
        version: str | int | None = None,
        typed: bool = True,
        exclude: Iterable[str] = SESSION,
        l1: bool = True,
        **options: Unpack[PolicyOptions],
    ) -> Callable[[Callable[..., Coroutine[Any, Any, Mapping[K, V]]]], AsyncCachedManyFunction[K, V]]:
        """Return a decorator for a coroutine function of many ids, whose items are kept one by one.

        The function takes the ids, a list, and returns a mapping from id to item; it is called with those
        alone that are missing, once for all of them, and ids that it does not return are absent from the
        answer, and loaded again the next time unless `none_ttl` is given; `TypeError` if it returns none of
        them, but others. Besides the ids it may have a `self` and what `exclude` names, `session` by default,
        both left out of the keys as in `cached`. `tags`: templates over `{id}`, or a callable of the id.
        All else as in `cached`, without `cache_exceptions` and elections (`lock="cluster"`).
        """
        policy = policy_of(policy, options, self.cached_many)

        def decorate(
            function: Callable[..., Coroutine[Any, Any, Mapping[K, V]]],
        ) -> AsyncCachedManyFunction[K, V]:
            what = async_accepted(function)
            plan = ManyPlan(
                what,
                self._names,
                policy,
                self._serializers.of_items(what.function, serializer, policy),
                tags=tags,
                version=version,
                typed=typed,
                exclude=exclude,
                l1=l1,
            )
            self._registry.claim(plan.name, what.function, plan.serializer, plan.tags.templates)
            wrapped: AsyncCachedManyFunction[K, V] = async_cached_many_function(plan, self._many)
            return wrapped

        return decorate

    async def get_or_set(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        policy: CachePolicy | None = None,
        *,
        tags: Iterable[str] = (),
        **options: Unpack[PolicyOptions],
    ) -> R:
        """Return the value of `key`, or load, store and return it; `options` as in `cached`."""
        check_callable(load, "load", "as a function without arguments")
        policy = policy_of(policy, options, self.get_or_set)
        self._reads.elections.check(policy)
        serializer = self._registry.serializer(key, policy.cache_exceptions)
        slot = self._names.slot(key, self._registry.literal(tags), serializer)
        value: R = await self._reads.get(slot, load, policy)
        return value

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`; a stale value is none, a cached exception is raised."""
        slot = self._names.slot(key, (), self._registry.serializer(key))
        found = await self._reads.look(slot)
        if isinstance(found, Entry) and found.fresh_until > self._clock():
            self._watch.hit(slot)
            return default if is_absent(found.value) else unwrapped(found.value)
        self._watch.miss(slot)
        return default

    async def set(
        self,
        key: str,
        value: object,
        policy: CachePolicy | None = None,
        *,
        tags: Iterable[str] = (),
        **options: Unpack[PolicyOptions],
    ) -> None:
        """Store `value`; loads of `key` that are running will not replace it.

        Of a `policy` and the `options` of `cached` those about lifetimes count: `ttl`, `none_ttl`, `jitter`,
        `stale_while_revalidate` and `stale_if_error`. The others are about loads, and are ignored.
        """
        policy = policy_of(policy, options, self.set)
        slot = self._names.slot(key, self._registry.literal(tags), self._registry.serializer(key))
        placed = chance() if policy.jitter else 0.0
        entry = entry_of(value, policy, now=self._clock(), load_seconds=0.0, chance=placed)
        await self._reads.put(slot, entry)

    async def delete(self, *keys: str) -> None:
        """Remove the entries of `keys`; loads of them that are running will not be stored."""
        await self._reads.invalidations.deliver([self._names.key(key) for key in keys], ())

    async def invalidate_tags(self, *tags: str) -> None:
        """End every entry that carries one of `tags`: one operation per tag, however many entries.

        `ConfigurationError` for a template of a function, such as "user:{user_id}", that is not filled in.
        """
        names = self._names.tags(self._registry.literal(tags))
        await self._reads.invalidations.deliver((), names)
        self._watch.invalidated(len(names))

    async def clear(self) -> None:
        """End every entry of this namespace, and no other's."""
        await self._reads.invalidations.deliver((), [self._names.own_tag])

    async def join(self, *, timeout: Duration = "5s") -> None:  # noqa: ASYNC109  # as in the sync twin
        """Wait until nothing runs behind the callers' backs, as a test does before it looks at the outcome.

        That is reloads of what was answered stale or early, and deliveries of what is queued. `TimeoutError`
        if something still runs after `timeout` (of real time, whatever the cache's clock says).
        """
        longest = seconds(timeout, "timeout")
        if not await self._reads.background.join(longest):
            msg = f"something still runs behind the callers' backs after {longest:g} s"
            raise TimeoutError(msg)

    def stats(self) -> CacheStats:
        """Return what this cache has counted since it was made."""
        return self._watch.counts.stats()
