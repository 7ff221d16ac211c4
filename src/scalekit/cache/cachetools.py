"""A store in this process whose entries leave by the policy of a cachetools cache.

The cache is the only place where entries lie: what it evicts is gone, with all that belongs to it, and the
store learns of it when it looks. Each hit asks the cache, since a policy must hear of it; so it costs
microseconds where `MemoryCacheStore` needs none of that.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakValueDictionary

from scalekit._extras import require
from scalekit.cache._carriers import Token, load_token, outdated
from scalekit.cache._entry import Entry, Snapshot
from scalekit.cache._exclusive import Exclusive
from scalekit.cache._raised import Raised
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import cachetools

    from scalekit.cache._entry import Slot

__all__ = ["CachetoolsCacheStore"]

_adopted: WeakValueDictionary[int, Any] = WeakValueDictionary()
_TTU = "_TLRUCache__ttu"


class _Held(Entry):
    """An entry in the cache, its tags, and the size that the cache is told."""

    __slots__ = ("size", "tags")

    def __init__(self, entry: Entry, tags: tuple[Token, ...], size: Any) -> None:
        super().__init__(
            entry.value,
            expires=entry.expires,
            fresh_until=entry.fresh_until,
            load_seconds=entry.load_seconds,
        )
        self.tags = tags
        self.size = size

    def alive(self, now: float) -> bool:
        return self.expires > now and not any(tag.dead for tag in self.tags)


class CachetoolsCacheStore:
    """Keeps values in `cache`, any `cachetools.Cache`, as the objects they are (not copies).

    The cache must be empty, and belongs to the store from then on: its `getsizeof` and a `TLRUCache`'s
    `ttu` are called with values, as ever, though entries lie there (an exception that is kept has size 1
    and no `ttu`); `ttu`'s key is a text. A value lives as long as both its own lifetime and the cache allow,
    each by its own clock. One that the cache has no room for is not kept, and neither is the one it was to
    replace. An entry that is invalidated keeps its place until it is read again or evicted.

    Safe to share between threads, tasks and caches; it has a lock of its own. `getsizeof` is called outside
    of it, once per write; the rest of the policy inside, and must not wait. A fork waits for that lock, for a
    second at most; then the child begins with an empty cache.

    `ConfigurationError` for something else than a cachetools cache, one without room, with items, or of
    another store. `MissingExtra` without cachetools. What `getsizeof` or `ttu` raises, a write raises.
    """

    __slots__ = ("__weakref__", "_cache", "_exclusive", "_loads", "_peek", "_size_of", "_tags")

    nonblocking: Literal[True] = True

    def __init__(self, cache: cachetools.Cache[Any, Any]) -> None:
        library = require("cachetools", extra="cachetools", needed_by="CachetoolsCacheStore")
        _check(cache, library.Cache)
        _adopted[id(cache)] = cache
        self._cache = cast("cachetools.Cache[str, _Held]", cache)
        # The base class's own: a policy hears nothing of it.
        self._peek: Callable[..., _Held] = library.Cache.__getitem__
        self._size_of: Callable[[Any], Any] | None = None
        if cache.getsizeof is not library.Cache.getsizeof:
            self._size_of = cache.getsizeof
            vars(cache)["getsizeof"] = attrgetter("size")
        if isinstance(cache, library.TLRUCache):
            vars(cache)[_TTU] = partial(_time_to_use, vars(cache)[_TTU])
        self._exclusive = Exclusive(self._forget, whole=True)
        self._tags: WeakValueDictionary[str, Token] = WeakValueDictionary()
        self._loads: WeakValueDictionary[str, Token] = WeakValueDictionary()

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        with self._exclusive as alone:
            if not alone:
                return outdated()
            held = self._cache.get(slot.key)
            if held is None:
                return self._snapshot(slot)
            if held.alive(now):
                return held
            self._cache.pop(slot.key, None)
            return self._snapshot(slot)

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        with self._exclusive as alone:
            if outdate:
                _end(self._loads, slot.key)
            return self._snapshot(slot) if alone else outdated()

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless `snapshot` is outdated or there is no room; return whether it is stored."""
        size = self._size(entry)
        with self._exclusive as alone:
            if not alone:
                if snapshot is None:
                    self._exclusive.defer(partial(self._delete, [slot.key]))
                return False
            if snapshot is None:
                _end(self._loads, slot.key)
                tags = tuple([load_token(self._tags, tag) for tag in slot.tags])
            else:
                tokens = cast("tuple[Token, ...]", snapshot)
                if any(token.dead for token in tokens):
                    return False
                tags = tokens[1:]
            return self._put(slot.key, _Held(entry, tags, size), now) or entry.expires <= now

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        with self._exclusive as alone:
            if alone:
                self._delete(keys)
            else:
                self._exclusive.defer(partial(self._delete, keys))

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        with self._exclusive:
            for tag in tags:
                _end(self._tags, tag)

    def _forget(self) -> None:
        for token in [*self._loads.values(), *self._tags.values()]:
            token.dead = True
        self._loads.clear()
        self._tags.clear()
        with suppress(Exception):  # what its policy was about to do, nobody knows
            self._cache.clear()

    def _snapshot(self, slot: Slot) -> Snapshot:
        return Snapshot(
            [load_token(self._loads, slot.key), *[load_token(self._tags, tag) for tag in slot.tags]]
        )

    def _put(self, key: str, held: _Held, now: float) -> bool:
        kept = False
        try:
            if held.expires > now and held.size <= self._cache.maxsize:
                self._cache[key] = held
                kept = self._holds(key, held)
        finally:
            if not kept:  # nor may the old one be: caches keep that when the new one is too large or too old
                self._cache.pop(key, None)
        return kept

    def _holds(self, key: str, held: _Held) -> bool:
        try:
            return self._peek(self._cache, key) is held
        except KeyError:
            return False

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            _end(self._loads, key)
            self._cache.pop(key, None)

    def _size(self, entry: Entry) -> Any:
        return 1 if self._size_of is None or isinstance(entry.value, Raised) else self._size_of(entry.value)


def _end(tokens: WeakValueDictionary[str, Token], name: str) -> None:
    token = tokens.get(name)
    if token is not None:
        token.dead = True
        del tokens[name]


def _time_to_use(ttu: Callable[[str, Any, Any], Any], key: str, held: _Held, now: Any) -> Any:
    return float("inf") if isinstance(held.value, Raised) else ttu(key, held.value, now)


def _check(cache: Any, base: Any) -> None:
    if not isinstance(cache, base):
        raise ConfigurationError("cache", cache, "as a cachetools cache, such as LRUCache(10_000)")
    if not cache.maxsize > 0:
        raise ConfigurationError("cache.maxsize", cache.maxsize, "> 0")
    if len(cache):
        raise ConfigurationError("len(cache)", len(cache), "of 0: a cache belongs to its store alone")
    if _adopted.get(id(cache)) is cache:
        raise ConfigurationError("cache", cache, "of no other store: share the store instead")
