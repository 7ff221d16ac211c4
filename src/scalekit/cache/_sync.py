"""The face for functions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from scalekit._time import seconds
from scalekit.cache._callables import accepted, check_callable
from scalekit.cache._calls import cached_function, cached_many_function
from scalekit.cache._capabilities import index_of, usable_store
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
from scalekit.cache._read_many import ReadMany
from scalekit.cache._read_through import ReadThrough
from scalekit.cache._registry import Registry
from scalekit.cache._serializers import Serializers
from scalekit.cache._watch import Watch
from scalekit.cache.compressed import compressor
from scalekit.cache.memory import MemoryCacheStore
from scalekit.cache.msgspec import MsgspecSerializer, item_serializer_of, serializer_of
from scalekit.events import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import ParamSpec, Unpack

    from scalekit._time import Clock, Duration
    from scalekit.cache._failure import OnError, OnErrorInvalidate
    from scalekit.cache._function import CachedFunction, CachedManyFunction
    from scalekit.cache._policy import CachePolicy, PolicyOptions
    from scalekit.cache._stats import CacheStats
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import CacheStore, Serializer
    from scalekit.events import Hook

    P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")


class Cache:
    """Keeps the results of functions in a store, and forgets them when told to.

    `store` defaults to a `MemoryCacheStore()`. Caches that share a store are kept apart by their
    `namespace`, which is "cache" by default: give each application that shares a server one of its own.
    `clock` returns seconds and measures lifetimes, those in stores of this process included; by default
    `time.monotonic`. `on_event` receives a `CacheEvent` for everything that happens; None, the default, for
    nothing. All methods may be called from any thread.

    **A value whose load began before an invalidation is never served after it, nor handed to a call
    that began after it**, whether a tag, a key or the whole cache was invalidated. Of many threads
    that miss the same key one loads and the others wait for its value or its exception, which is not
    kept. A loader that comes back to its own key, directly or through other loaders and threads that
    wait for each other, loads instead of waiting.

    When the store fails (`BackendError`): with `on_error="load"`, the default, values are loaded and not
    stored, `get` finds nothing; with "raise" the error is raised. An invalidation that cannot be
    delivered, or a `set`, is not lost in silence: with `on_error_invalidate="raise"`, the default, the error
    is raised; with "queue" it is delivered as soon as the store answers, and until then this cache does not
    believe what the store has for its tags or key.

    `compress_above`: a number of bytes; what is longer when it is written to a store that keeps bytes is
    compressed, as by `CompressedSerializer`. None, the default, for never.

    `ConfigurationError` for arguments that make no sense; `TypeError` for a store that must be awaited.
    """

    def __init__(
        self,
        store: CacheStore | None = None,
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
        self._reads = ReadThrough(
            usable_store(store),
            clock=clock,
            watch=self._watch,
            failure=fails,
            everything=self._names.own_tag,
        )
        self._many = ReadMany(self._reads)

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
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
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
        calling with anything else is a `ConfigurationError`. `TypeError` for a coroutine function,
        which needs `AsyncCache`, or a generator function.
        """
        policy = policy_of(policy, options, self.cached)
        self._reads.elections.check(policy)

        def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
            what = accepted(function)
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
            wrapped: CachedFunction[P, R] = cached_function(plan, self._reads, self._indexed)
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
    ) -> Callable[[Callable[..., Mapping[K, V]]], CachedManyFunction[K, V]]:
        """Return a decorator for a function of many ids, whose items are kept one by one.

        The function takes the ids, a list, and returns a mapping from id to item; it is called with those
        alone that are missing, once for all of them, and ids that it does not return are absent from the
        answer, and loaded again the next time unless `none_ttl` is given; `TypeError` if it returns none of
        them, but others. Besides the ids it may have a `self` and what `exclude` names, `session` by default,
        both left out of the keys as in `cached`. `tags`: templates over `{id}`, or a callable of the id.
        All else as in `cached`, without `cache_exceptions` and elections (`lock="cluster"`).
        """
        policy = policy_of(policy, options, self.cached_many)

        def decorate(function: Callable[..., Mapping[K, V]]) -> CachedManyFunction[K, V]:
            what = accepted(function)
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
            wrapped: CachedManyFunction[K, V] = cached_many_function(plan, self._many)
            return wrapped

        return decorate

    def get_or_set(
        self,
        key: str,
        load: Callable[[], R],
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
        value: R = self._reads.get(slot, load, policy)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`; a stale value is none, a cached exception is raised."""
        slot = self._names.slot(key, (), self._registry.serializer(key))
        found = self._reads.look(slot)
        if isinstance(found, Entry) and found.fresh_until > self._clock():
            self._watch.hit(slot)
            return default if is_absent(found.value) else unwrapped(found.value)
        self._watch.miss(slot)
        return default

    def set(
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
        self._reads.put(slot, entry)

    def delete(self, *keys: str) -> None:
        """Remove the entries of `keys`; loads of them that are running will not be stored."""
        self._reads.invalidations.deliver([self._names.key(key) for key in keys], ())

    def invalidate_tags(self, *tags: str) -> None:
        """End every entry that carries one of `tags`: one operation per tag, however many entries.

        `ConfigurationError` for a template of a function, such as "user:{user_id}", that is not filled in.
        """
        names = self._names.tags(self._registry.literal(tags))
        self._reads.invalidations.deliver((), names)
        self._watch.invalidated(len(names))

    def clear(self) -> None:
        """End every entry of this namespace, and no other's."""
        self._reads.invalidations.deliver((), [self._names.own_tag])

    def join(self, *, timeout: Duration = "5s") -> None:
        """Wait until nothing runs behind the callers' backs, as a test does before it looks at the outcome.

        That is reloads of what was answered stale or early, and deliveries of what is queued. `TimeoutError`
        if something still runs after `timeout` (of real time, whatever the cache's clock says).
        """
        longest = seconds(timeout, "timeout")
        if not self._reads.background.join(longest):
            msg = f"something still runs behind the callers' backs after {longest:g} s"
            raise TimeoutError(msg)

    def stats(self) -> CacheStats:
        """Return what this cache has counted since it was made."""
        return self._watch.counts.stats()
