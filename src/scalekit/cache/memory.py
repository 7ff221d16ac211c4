"""The in-process store: bounded, exact, and never waiting.

Entries hang in a ring in the order of arrival; a hand walks it from the oldest (SIEVE: Zhang et al.,
NSDI 2024). A hit sets one bit and moves nothing, so readers take no lock. Dead entries, expired or
invalidated, are freed by the hand and by a sweep that looks at two entries on each write: no thread,
and what is dead is gone after as many writes as there are entries.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakValueDictionary

from scalekit.cache._entry import Entry, IndexedEntry, Snapshot
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache._entry import Slot

__all__ = ["MemoryCacheStore"]

_SWEPT_PER_WRITE = 2


class _Token:
    """What a snapshot compares: alive until its key or tag is invalidated, and never alive again.

    The store refers to it weakly. It lives as long as an entry carries it or a load holds it, so
    the memory for tags is bounded by those.
    """

    __slots__ = ("__weakref__", "dead")

    def __init__(self) -> None:
        self.dead = False


class _Node(IndexedEntry):
    """An entry in the ring, and where it is filed."""

    __slots__ = ("index", "key", "newer", "older", "place", "tags")

    def __init__(self, key: str, entry: Entry, *, tags: tuple[_Token, ...]) -> None:
        super().__init__(
            entry.value,
            expires=entry.expires,
            fresh_until=entry.fresh_until,
            load_seconds=entry.load_seconds,
        )
        self.key = key
        self.tags = tags
        self.due = entry.fresh_until
        self.epoch = None
        self.visited = False
        self.kinds = ()
        self.index: dict[Any, IndexedEntry] | None = None
        self.place: Any = None
        self.newer = self.older = self

    def alive(self, now: float) -> bool:
        """Whether it may be served: neither expired nor invalidated."""
        return self.expires > now and not any(tag.dead for tag in self.tags)


class MemoryCacheStore:
    """Keeps up to `max_entries` values in this process, as the objects they are (not copies).

    Safe to share between threads, tasks and caches: namespaces keep caches apart, the bound is
    common. When full it evicts the oldest entry that was not read since the hand last passed; the
    worst case for one write is a walk over all entries, when every one of them was read, and one or
    two steps on average. `ConfigurationError` if `max_entries` is not an integer of at least 1.
    """

    __slots__ = (
        "__weakref__",
        "_hand",
        "_loads",
        "_lock",
        "_max_entries",
        "_nodes",
        "_ring",
        "_sweep",
        "_tags",
        "epoch",
    )

    nonblocking: Literal[True] = True

    def __init__(self, *, max_entries: int = 100_000) -> None:
        if not isinstance(max_entries, int) or isinstance(max_entries, bool) or max_entries < 1:
            raise ConfigurationError("max_entries", max_entries, "as an integer >= 1")
        self.epoch: object = object()
        self._max_entries = max_entries
        # Re-entrant, since freeing a value may run a finaliser that uses the cache.
        self._lock = threading.RLock()
        self._nodes: dict[str, _Node] = {}
        self._tags: WeakValueDictionary[str, _Token] = WeakValueDictionary()
        self._loads: WeakValueDictionary[str, _Token] = WeakValueDictionary()
        self._ring = _Node(
            "", Entry(None, expires=0.0), tags=()
        )  # ring.newer is the oldest, ring.older the newest
        self._hand = self._sweep = self._ring

    def __len__(self) -> int:
        """Return the number of entries held, dead ones that are not yet freed included."""
        return len(self._nodes)

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        with self._lock:
            node = self._nodes.get(slot.key)
            if node is None:
                return self._snapshot(slot)
            if node.alive(now):
                node.epoch = self.epoch
                node.visited = True
                return node
            self._remove(node)
            return self._snapshot(slot)

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        with self._lock:
            if outdate:
                self._outdate(slot.key)
            return self._snapshot(slot)

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        with self._lock:
            if snapshot is None:
                self._outdate(slot.key)
                tags = tuple(self._token(self._tags, tag) for tag in slot.tags)
            else:
                tokens = cast("tuple[_Token, ...]", snapshot)
                if any(token.dead for token in tokens):
                    return False
                tags = tokens[1:]
            previous = self._nodes.get(slot.key)
            if previous is not None:
                self._remove(previous)
            for _ in range(_SWEPT_PER_WRITE):
                self._sweep_one(now)
            if entry.expires <= now:
                return True
            if len(self._nodes) >= self._max_entries:
                self._evict(now)
            node = _Node(slot.key, entry, tags=tags)
            node.epoch = self.epoch
            self._append(node)
            return True

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        with self._lock:
            for key in keys:
                self._outdate(key)
                node = self._nodes.get(key)
                if node is not None:
                    self._remove(node)

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        with self._lock:
            for tag in tags:
                token = self._tags.pop(tag, None)
                if token is not None:
                    token.dead = True
                    self.epoch = object()

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float, /
    ) -> None:
        """Keep `index[place]` equal to the entry of `key` for as long as that is in the store."""
        with self._lock:
            node = self._nodes.get(key)
            if node is None:
                return
            self._unpin(node)
            node.index, node.place, node.kinds = index, place, kinds
            if lead == math.inf:
                node.due = -math.inf
            elif lead and node.load_seconds:  # else it stays one object with fresh_until: 24 bytes less
                node.due = node.fresh_until - lead * node.load_seconds
            index[place] = node

    def renew(self, entry: IndexedEntry, now: float, /) -> bool:
        """Say whether `entry` is alive and not due; if so, bring it to the present epoch."""
        with self._lock:
            if (
                not isinstance(entry, _Node)
                or self._nodes.get(entry.key) is not entry
                or not entry.alive(now)
                or entry.due <= now
            ):
                return False
            entry.epoch = self.epoch
            return True

    def _snapshot(self, slot: Slot) -> Snapshot:
        return Snapshot(
            (self._token(self._loads, slot.key), *(self._token(self._tags, tag) for tag in slot.tags))
        )

    @staticmethod
    def _token(tokens: WeakValueDictionary[str, _Token], name: str) -> _Token:
        token = tokens.get(name)
        if token is None:
            token = tokens[name] = _Token()
        return token

    def _outdate(self, key: str) -> None:
        token = self._loads.pop(key, None)
        if token is not None:
            token.dead = True

    def _append(self, node: _Node) -> None:
        newest = self._ring.older
        node.older, node.newer = newest, self._ring
        newest.newer = self._ring.older = node
        self._nodes[node.key] = node

    def _remove(self, node: _Node) -> None:
        node.epoch = None  # a reader that has just found it must not serve it any more
        self._unpin(node)
        if self._hand is node:
            self._hand = node.newer
        if self._sweep is node:
            self._sweep = node.newer
        node.older.newer, node.newer.older = node.newer, node.older
        node.older = node.newer = self._ring  # not itself: a circle would wait for the garbage collector
        del self._nodes[node.key]

    @staticmethod
    def _unpin(node: _Node) -> None:
        if node.index is not None and node.index.get(node.place) is node:
            del node.index[node.place]
        node.index = node.place = None

    def _sweep_one(self, now: float) -> None:
        node = self._sweep
        self._sweep = node.newer
        if node is not self._ring and not node.alive(now):
            self._remove(node)

    def _evict(self, now: float) -> None:
        """Remove one entry: the first from the hand on that is dead or was not read since it last passed."""
        while True:
            node = self._hand
            self._hand = node.newer
            if node is self._ring:
                continue
            if node.visited and node.alive(now):
                node.visited = False
                continue
            self._remove(node)
            return
