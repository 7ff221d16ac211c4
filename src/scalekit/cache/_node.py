"""What the memory store keeps of an entry.

A node is most of what an entry costs, so its layout is measured (benchmarks/cache/memory.py): 12 slots are
128 bytes. What most entries do not have is kept in a larger class of nodes, and what many entries have in
common (their tags, the classes of their arguments) in one object for all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scalekit.cache._entry import Entry, IndexedEntry, NamedEntry

if TYPE_CHECKING:
    from scalekit.cache._carriers import Token


class Node(IndexedEntry):
    """An entry that is fresh to its end, whose load took no time, and whose size nobody asks.

    Then its one time is `due`. `tags` are those it shares with many; `names` are the other ones: a text,
    or a tuple of texts, or None.
    """

    __slots__ = ("index", "key", "names", "newer", "older", "place", "tags")

    size = 0

    def __init__(self, key: str, entry: Entry) -> None:
        self.value = entry.value
        self.due = entry.expires
        self.epoch: object = None
        self.kinds = ()
        self.visited = False
        self.key = key
        self.names: str | tuple[str, ...] | None = None
        self.tags: tuple[Token, ...] = ()
        self.index: dict[Any, IndexedEntry] | None = None
        self.place: Any = None
        self.newer: Any = None
        self.older: Any = None

    def alive(self, now: float) -> bool:
        """Whether it may be served: neither expired nor invalidated."""
        if self.due <= now:
            return False
        for tag in self.tags:  # noqa: SIM110  # any() with its generator takes 5 times as long
            if tag.dead:
                return False
        return True

    def entry(self) -> Entry:
        """Return what was written."""
        return Entry(self.value, expires=self.due)

    def lead(self, lead: float) -> bool:
        """Be due `lead` load times before the end of freshness; False if it cannot: then no index has it."""
        return lead < math.inf


class FullNode(Node):
    """An entry with all that one may have."""

    __slots__ = ("expires", "fresh_until", "load_seconds", "size")

    def __init__(self, key: str, entry: Entry, size: int) -> None:
        super().__init__(key, entry)
        self.expires = entry.expires
        self.fresh_until = entry.fresh_until
        self.load_seconds = entry.load_seconds
        self.size = size
        self.lead(0.0)

    def alive(self, now: float) -> bool:
        """Whether it may be served, fresh or stale."""
        if self.expires <= now:
            return False
        for tag in self.tags:  # noqa: SIM110  # as above
            if tag.dead:
                return False
        return True

    def entry(self) -> Entry:
        """Return what was written."""
        return Entry(
            self.value, expires=self.expires, fresh_until=self.fresh_until, load_seconds=self.load_seconds
        )

    def lead(self, lead: float) -> bool:
        """Be due `lead` load times before the end of freshness."""
        fresh_until = min(self.fresh_until, self.expires)
        if lead == math.inf:
            self.due = -math.inf
        elif lead and self.load_seconds:
            self.due = fresh_until - lead * self.load_seconds
        else:  # one object with it: a float is 24 bytes
            self.due = fresh_until
        return True


def node_of(key: str, entry: Entry, size: int | None) -> Node:
    """Return the smallest node that holds `entry`; `size` is None where there is no bound of sizes."""
    # A tier in front of another keeps named entries, and gives them times of its own.
    tiered = isinstance(entry, NamedEntry)
    plain = not tiered and size is None and not entry.load_seconds and entry.fresh_until == entry.expires
    return Node(key, entry) if plain else FullNode(key, entry, size or 0)
