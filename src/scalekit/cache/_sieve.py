"""Which entry leaves when there is no room: SIEVE (Zhang et al., NSDI 2024).

Entries hang in a ring in the order of arrival; a hand walks it from the oldest to the newest and round
again, and takes the first that was not read since it last passed. A read sets one bit and moves nothing,
so readers take no lock. What is dead, expired or invalidated, leaves when the hand meets it, or a sweep
that looks at a few entries on each write.
"""

from __future__ import annotations

from scalekit.cache._entry import Entry
from scalekit.cache._node import Node

_LONGEST_WALK = 1_000
"""Steps of the hand in one write. Where all of 100,000 entries were read, the whole way would be a pause of
25 ms; so would it be to forget all bits at once. After so many that were read one after the other, the hand
takes the next although it was read, and has cleared the way for the writes to come."""


class Sieve:
    """The ring, its hand and its sweep. Not safe to share between threads."""

    __slots__ = ("_hand", "_ring", "_sweep")

    def __init__(self) -> None:
        self._ring = Node("", Entry(None, expires=0.0))  # its newer is the oldest, its older the newest
        self._ring.newer = self._ring.older = self._ring
        self._hand: Node = self._ring
        self._sweep: Node = self._ring

    def append(self, node: Node) -> None:
        """Take `node` as the newest."""
        newest = self._ring.older
        node.older, node.newer = newest, self._ring
        newest.newer = self._ring.older = node

    def remove(self, node: Node) -> None:
        """Take `node` out of the ring."""
        if self._hand is node:
            self._hand = node.newer
        if self._sweep is node:
            self._sweep = node.newer
        node.older.newer, node.newer.older = node.newer, node.older
        node.older = node.newer = None

    def victim(self, now: float) -> Node:
        """Return the first from the hand on that is dead or was not read since it last passed.

        There must be one in the ring.
        """
        node = self._hand
        for _ in range(_LONGEST_WALK):
            if node is self._ring:
                node = node.newer
            if not node.visited or not node.alive(now):
                break
            node.visited = False
            node = node.newer
        if node is self._ring:
            node = node.newer
        self._hand = node.newer
        return node

    def swept(self, now: float) -> Node | None:
        """Look at the next entry, and return it if it is dead."""
        node = self._sweep
        self._sweep = node.newer
        return None if node is self._ring or node.alive(now) else node
