"""The in-process store: bounded, exact, and never waiting.

A hit takes no lock and moves nothing, a write takes a few microseconds and frees what is dead besides: no
thread, no timer, and what is dead is gone after half as many writes as there are entries.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from scalekit.cache._carriers import outdated
from scalekit.cache._entries import Entries
from scalekit.cache._exclusive import Exclusive
from scalekit.cache._footprint import footprint
from scalekit.cache._raised import Raised
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.cache._entry import Entry, IndexedEntry, Slot, Snapshot
    from scalekit.cache._node import Node

__all__ = ["MemoryCacheStore"]

_OWN_BYTES = 300
"""What an entry with a tag or two costs besides its value and its key (benchmarks/cache/memory.py)."""


class MemoryCacheStore:
    """Keeps up to `max_entries` values in this process, as the objects they are (not copies).

    Safe to share between threads, tasks and caches: namespaces keep caches apart, the bound, 100,000 by
    default, is common. When full it evicts the oldest entry that was not read since the hand last passed
    (SIEVE), in one or two steps on average and 1,000 at most: then one that was read may go.

    `max_bytes` bounds the memory, too; None, the default, for no such bound. What an entry counts is by
    default an estimate: what can be reached from the value through containers and attributes, up to 10,000
    objects, and its key, and 300 bytes.
    With `size_of`, a callable of the value, it is what that returns, and nothing besides: an integer >= 0,
    in whatever unit `max_bytes` is (0 for an exception that is kept). Both are asked on writes only. A
    value that counts more than `max_bytes` is not kept, and neither is the one it was to replace.

    The child of a fork has what its parent had, or nothing, if another thread was in the middle of a call.

    `ConfigurationError` if a bound is not an integer of at least 1, for `size_of` without `max_bytes`, and
    from a write whose `size_of` does not return a size.
    """

    __slots__ = ("__weakref__", "_entries", "_exclusive", "_size_of", "_sized", "epoch")

    nonblocking: Literal[True] = True

    def __init__(
        self,
        *,
        max_entries: int = 100_000,
        max_bytes: int | None = None,
        size_of: Callable[[Any], int] | None = None,
    ) -> None:
        _check_bound("max_entries", max_entries)
        if max_bytes is not None:
            _check_bound("max_bytes", max_bytes)
        if size_of is not None and not callable(size_of):
            raise ConfigurationError("size_of", size_of, "as a callable of a value that returns its size")
        if size_of is not None and max_bytes is None:
            raise ConfigurationError("size_of", size_of, "together with max_bytes, which it is for")
        self._entries = Entries(max_entries, max_bytes)
        self._exclusive = Exclusive(self._forget)
        self._sized = max_bytes is not None
        self._size_of = size_of
        self.epoch: object = self._entries.epoch

    def __len__(self) -> int:
        """Return the number of entries held, dead ones that are not yet freed included."""
        return len(self._entries.nodes)

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        gone: list[Node] = []
        with self._exclusive as alone:
            if not alone:
                return outdated()
            node = self._entries.found(slot, now, gone)
            return self._entries.snapshot(slot) if node is None else node.entry()

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        with self._exclusive as alone:
            if outdate:
                self._entries.outdate(slot.key)
            return self._entries.snapshot(slot) if alone else outdated()

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless `snapshot` is outdated or it never fits; return whether it is stored."""
        size = self._size(slot, entry) if self._sized else None
        gone: list[Node] = []
        with self._exclusive as alone:
            if alone:
                return self._entries.write(slot, entry, snapshot, now, size, gone)
            if snapshot is None:
                self._defer(partial(self._entries.write, slot, entry, None, now, size, gone))
            return snapshot is None

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        gone: list[Node] = []
        with self._exclusive as alone:
            if alone:
                self._entries.delete(keys, gone)
            else:
                self._defer(partial(self._entries.delete, keys, gone))

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        gone: list[Node] = []
        with self._exclusive as alone:
            if not alone:
                self._defer(partial(self._entries.invalidate, tags, gone))
            elif self._entries.invalidate(tags, gone):
                self._next_epoch()

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float, /
    ) -> None:
        """Keep `index[place]` equal to the entry of `key` for as long as that is in the store."""
        with self._exclusive as alone:
            if alone:
                self._entries.pin(key, index, place, kinds, lead)

    def renew(self, entry: IndexedEntry, now: float, /) -> bool:
        """Say whether `entry` is alive and not due; if so, bring it to the present epoch."""
        with self._exclusive as alone:
            return alone and self._entries.renew(entry, now)

    def _defer(self, operation: Callable[[], object]) -> None:
        """Do it at the end of the call that this one is inside of; until then no entry is of this epoch."""
        self._exclusive.defer(partial(self._catch_up, operation))
        self.epoch = object()

    def _catch_up(self, operation: Callable[[], object]) -> None:
        operation()
        self._next_epoch()

    def _forget(self) -> None:
        self._entries.begin_anew()
        self.epoch = self._entries.epoch

    def _next_epoch(self) -> None:
        self.epoch = self._entries.epoch = object()

    def _size(self, slot: Slot, entry: Entry) -> int:
        if self._size_of is None:
            return _OWN_BYTES + sys.getsizeof(slot.key) + footprint(entry.value)
        if isinstance(entry.value, Raised):
            return 0
        size = self._size_of(entry.value)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("size_of", size, "to return an integer >= 0")
        return size


def _check_bound(parameter: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(parameter, value, "as an integer >= 1")
