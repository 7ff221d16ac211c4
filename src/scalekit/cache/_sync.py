"""The face for functions."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from scalekit.cache._entry import Entry
from scalekit.cache._events import CacheEvent
from scalekit.cache._flight import Flights
from scalekit.cache._function import SESSION, Plan, finished
from scalekit.cache._names import Namespace, Registry
from scalekit.cache._policy import CachePolicy, policy_of
from scalekit.cache._stats import Counts
from scalekit.cache._stores import check_callable, check_function, index_of, loaded, usable_store
from scalekit.cache.memory import MemoryCacheStore
from scalekit.cache.msgspec import MsgspecSerializer, serializer_of
from scalekit.events import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ParamSpec

    from scalekit._time import Clock, Duration
    from scalekit.cache._entry import IndexedEntry, Slot, Snapshot
    from scalekit.cache._function import CachedFunction
    from scalekit.cache._stats import CacheStats
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import CacheStore
    from scalekit.events import Hook

    P = ParamSpec("P")
R = TypeVar("R")


class Cache:
    """Keeps the results of functions in a store, and forgets them when told to.

    `store` defaults to a `MemoryCacheStore()`. Caches that share a store are kept apart by their
    `namespace`. `clock` measures lifetimes, the store's included; `on_event` receives a `CacheEvent`
    for everything that happens. All methods may be called from any thread.

    **A value whose load began before an invalidation is never served after it, nor handed to a call
    that began after it**, whether a tag, a key or the whole cache was invalidated. Of many threads
    that miss the same key one loads and the others wait for its value or its exception, which is not
    kept. A loader that comes back to its own key, directly or through other loaders and threads that
    wait for each other, loads instead of waiting.

    Errors of the store are passed on as they are. `ConfigurationError` for arguments that make no
    sense; `TypeError` for a store that must be awaited.
    """

    def __init__(
        self,
        store: CacheStore | None = None,
        *,
        namespace: str = "cache",
        clock: Clock = time.monotonic,
        on_event: Hook | None = None,
    ) -> None:
        check_callable(clock, "clock", "as a callable that returns seconds")
        if on_event is not None:
            check_callable(on_event, "on_event", "as a callable of one event")
        store = MemoryCacheStore() if store is None else store
        self._store = usable_store(store)
        # A hook shall hear of every hit, so hits must not bypass the face.
        self._indexed = index_of(store) if on_event is None else None
        self._names = Namespace(namespace)
        self._registry = Registry(MsgspecSerializer(Any))
        self._clock = clock
        self._emit = guarded(on_event)
        self._counts = Counts()
        self._flights = Flights()

    def cached(
        self,
        policy: CachePolicy | None = None,
        *,
        ttl: Duration | None = None,
        tags: Tags = (),
        key: Callable[..., object] | None = None,
        none_ttl: Duration | None = None,
        version: str | int | None = None,
        typed: bool = True,
        exclude: Iterable[str] = SESSION,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Return a decorator that keeps a function's results.

        * `ttl`, `none_ttl`: see `CachePolicy`; given besides a `policy`, they replace its own.
        * `tags`: templates over the arguments ("user:{user_id}"), or a callable of the arguments
          that returns tags. Invalidating a tag ends every entry that carries it.
        * `key`: a callable of the arguments; what it returns tells entries apart in their stead.
        * `version`: change it when the function's results change their meaning.
        * `typed`: whether 1, 1.0 and True are different arguments.
        * `exclude`: parameters that do not tell entries apart; by default `session`, for which a text,
          a number or another value that could tell them apart is then a `ConfigurationError`. A
          method's `self` or `cls` is left out unless its class defines `__cache_key__()`.

        Arguments may be numbers, texts, bytes, None, enums, dates, UUIDs, decimals, paths, frozen
        dataclasses, objects with `__cache_key__()`, and tuples, lists, sets and dicts of these;
        calling with anything else is a `ConfigurationError`. `TypeError` for a coroutine function,
        which needs `AsyncCache`, or a generator function.
        """
        policy = policy_of(policy, ttl=ttl, none_ttl=none_ttl)

        def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
            check_function(function)
            plan = Plan(
                function,
                self._names,
                policy,
                serializer_of(function),
                tags=tags,
                key=key,
                version=version,
                typed=typed,
                exclude=exclude,
            )
            self._registry.claim(plan.name, function, plan.serializer)
            wrapped: CachedFunction[P, R] = self._wrapped(plan)
            return wrapped

        return decorate

    def get_or_set(
        self,
        key: str,
        load: Callable[[], R],
        *,
        ttl: Duration,
        tags: Iterable[str] = (),
        none_ttl: Duration | None = None,
    ) -> R:
        """Return the value of `key`, or load, store and return it."""
        check_callable(load, "load", "as a function without arguments")
        slot = self._names.slot(key, tags, self._registry.serializer(key))
        value: R = self._through(slot, load, CachePolicy(ttl=ttl, none_ttl=none_ttl))
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`."""
        slot = self._names.slot(key, (), self._registry.serializer(key))
        found = self._read(slot)
        return found.value if isinstance(found, Entry) else default

    def set(self, key: str, value: object, *, ttl: Duration, tags: Iterable[str] = ()) -> None:
        """Store `value`; loads of `key` that are running will not replace it."""
        slot = self._names.slot(key, tags, self._registry.serializer(key))
        now = self._clock()
        entry = Entry(value, expires=now + CachePolicy(ttl=ttl).lifetime(value))
        self._store.write(slot, entry, None, now)
        self._report("set", key=slot.key, tags=slot.tags)

    def delete(self, *keys: str) -> None:
        """Remove the entries of `keys`; loads of them that are running will not be stored."""
        names = [self._names.key(key) for key in keys]
        self._store.delete(names)
        for name in names:
            self._report("delete", key=name)

    def invalidate_tags(self, *tags: str) -> None:
        """End every entry that carries one of `tags`: one operation per tag, however many entries."""
        self._store.invalidate(self._names.tags(tags))
        self._counts.invalidations += len(tags)
        self._report("invalidate", tags=tags)

    def clear(self) -> None:
        """End every entry of this namespace, and no other's."""
        self._store.invalidate([self._names.own_tag])
        self._report("clear")

    def stats(self) -> CacheStats:
        """Return what this cache has counted since it was made."""
        return self._counts.stats()

    def _wrapped(self, plan: Plan) -> Any:
        index: dict[Any, IndexedEntry] = {}
        indexed = self._indexed if plan.indexable else None
        arguments_of = plan.signature.arguments

        def slow(*args: Any, **kwargs: Any) -> Any:
            arguments = arguments_of(*args, **kwargs)
            place = plan.place(arguments) if indexed is not None else None
            if indexed is None or place is None:
                return self._through(
                    plan.slot(arguments), partial(plan.function, *args, **kwargs), plan.policy
                )
            # After an invalidation elsewhere an entry is renewed where it lies: no key is made for it.
            entry = index.get(place[0])
            if entry is not None and entry.kinds == place[1] and indexed.renew(entry, self._clock()):
                self._counts.hits += 1
                return entry.value
            slot = plan.slot(arguments)
            value = self._through(slot, partial(plan.function, *args, **kwargs), plan.policy)
            indexed.pin(slot.key, index, *place, math.inf)
            return value

        def key(*args: Any, **kwargs: Any) -> str:
            return plan.key(arguments_of(*args, **kwargs))

        def invalidate(*args: Any, **kwargs: Any) -> None:
            self.delete(key(*args, **kwargs))

        def refresh(*args: Any, **kwargs: Any) -> Any:
            slot = plan.slot(arguments_of(*args, **kwargs))
            load = partial(plan.function, *args, **kwargs)
            snapshot = self._store.begin(slot, self._clock(), True)
            fill = partial(self._fill, slot, snapshot, load, plan.policy)
            return self._flights.join((slot.key, snapshot), fill, landed=None)

        if indexed is None:
            wrapper = plan.signature.wrapper(slow)
        else:
            wrapper = plan.signature.indexed_wrapper(slow, index, indexed, self._counts, self._clock)
        return finished(wrapper, plan, key=key, invalidate=invalidate, refresh=refresh)

    def _through(self, slot: Slot, load: Callable[[], Any], policy: CachePolicy) -> Any:
        landed = self._flights.landed
        found = self._read(slot)
        if isinstance(found, Entry):
            return found.value
        fill = partial(self._fill, slot, found, load, policy)
        return self._flights.join((slot.key, found), fill, landed=landed)

    def _read(self, slot: Slot) -> Entry | Snapshot:
        found = self._store.read(slot, self._clock())
        if isinstance(found, Entry):
            self._counts.hits += 1
            self._report("get", outcome="hit", key=slot.key, tags=slot.tags)
        else:
            self._counts.misses += 1
            self._report("get", outcome="miss", key=slot.key, tags=slot.tags)
        return found

    def _fill(
        self, slot: Slot, snapshot: Snapshot, load: Callable[[], Any], policy: CachePolicy, *, missed: bool
    ) -> Any:
        if missed:
            found = self._store.read(slot, self._clock())
            if isinstance(found, Entry):
                return found.value
        started = self._clock()
        self._counts.loads += 1
        try:
            value = loaded(load)
        except Exception:
            self._counts.load_errors += 1
            self._report(
                "load", outcome="error", key=slot.key, tags=slot.tags, seconds=self._clock() - started
            )
            raise
        now = self._clock()
        # With a lifetime of 0 the entry is written all the same: it takes the old one away.
        entry = Entry(value, expires=now + policy.lifetime(value))
        stored = self._store.write(slot, entry, snapshot, now)
        outcome = "ok" if stored else "outdated"
        self._report("load", outcome=outcome, key=slot.key, tags=slot.tags, seconds=now - started)
        return value

    def _report(
        self,
        name: str,
        *,
        outcome: str = "ok",
        key: str | None = None,
        seconds: float | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        if self._emit is not None:
            self._emit(CacheEvent(name, outcome=outcome, key=key, seconds=seconds, tags=tags))
