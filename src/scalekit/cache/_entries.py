"""The memory store's entries, without its lock: where they are filed, and how they come and go.

What takes nodes away gives them back, for the caller to let go of once he has left the lock: freeing a
value may run a finaliser, which may use the cache or wait for a lock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from scalekit.cache._carriers import Carriers, Token, load_token
from scalekit.cache._entry import IndexedEntry, Snapshot
from scalekit.cache._node import Node, node_of
from scalekit.cache._sieve import Sieve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.cache._entry import Entry, Slot

_SWEPT_PER_WRITE = 2
_MOST_KINDS = 1_000


class Entries:
    """At most `max_entries`, of at most `max_bytes` together. Not safe to share between threads.

    Nodes that were looked at get the present `epoch`, as a sign that they need no second look.
    """

    __slots__ = (
        "_carriers",
        "_kinds",
        "_loads",
        "_max_bytes",
        "_max_entries",
        "_sieve",
        "bytes",
        "epoch",
        "nodes",
    )

    def __init__(self, max_entries: int, max_bytes: int | None) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.bytes = 0
        self.epoch: object = object()
        self.nodes: dict[str, Node] = {}
        self._sieve = Sieve()
        self._carriers = Carriers()
        self._loads: WeakValueDictionary[str, Token] = WeakValueDictionary()
        self._kinds: dict[tuple[type, ...], tuple[type, ...]] = {}

    def snapshot(self, slot: Slot) -> Snapshot:
        """Return what a load of `slot` may begin with."""
        token = self._carriers.token
        return Snapshot([load_token(self._loads, slot.key), *[token(tag) for tag in slot.tags]])

    def found(self, slot: Slot, now: float, gone: list[Node]) -> Node | None:
        """Return the living node of `slot`, which counts as read."""
        node = self.nodes.get(slot.key)
        if node is None:
            return None
        if not node.alive(now):
            self._remove(node, gone)
            return None
        node.epoch = self.epoch
        node.visited = True
        return node

    def outdate(self, key: str) -> None:
        """Let no load of `key` that is running be stored."""
        token = self._loads.get(key)
        if token is not None:
            token.dead = True
            del self._loads[key]

    def write(  # noqa: PLR0917  # its protocol's four, and what the caller brings in
        self,
        slot: Slot,
        entry: Entry,
        snapshot: Snapshot | None,
        now: float,
        size: int | None,
        gone: list[Node],
    ) -> bool:
        """Store `entry` unless it is outdated or never fits; `size` is None where sizes have no bound."""
        if snapshot is None:
            self.outdate(slot.key)
            names: Iterable[str] = slot.tags
        else:
            tokens = cast("tuple[Token, ...]", snapshot)
            for token in tokens:
                if token.dead:
                    return False
            names = [token.name for token in tokens[1:]]
        previous = self.nodes.get(slot.key)
        if previous is not None:
            self._remove(previous, gone)
        for _ in range(_SWEPT_PER_WRITE):
            dead = self._sieve.swept(now)
            if dead is not None:
                self._remove(dead, gone)
        if entry.expires <= now:
            return True
        if not self._make_room(size or 0, now, gone):
            return False
        node = node_of(slot.key, entry, size)
        node.epoch = self.epoch
        self._sieve.append(node)
        self.nodes[slot.key] = node
        self.bytes += node.size
        self._carriers.attach(node, names)
        return True

    def delete(self, keys: Sequence[str], gone: list[Node]) -> None:
        """Remove the nodes of `keys`, and outdate the loads that are running for them."""
        for key in keys:
            self.outdate(key)
            node = self.nodes.get(key)
            if node is not None:
                self._remove(node, gone)

    def invalidate(self, tags: Sequence[str], gone: list[Node]) -> bool:
        """End all that carry one of `tags`; True if there are some that no `epoch` must let pass any more."""
        ended = False
        for tag in tags:
            few, many = self._carriers.end(tag)
            for node in few:
                self._remove(node, gone)
            ended = ended or many
        return ended

    def pin(
        self, key: str, index: dict[Any, IndexedEntry], place: Any, kinds: tuple[type, ...], lead: float
    ) -> None:
        """File the node of `key`, if there is one, under `index[place]` too."""
        node = self.nodes.get(key)
        if node is None:
            return
        _unpin(node)
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        if node.lead(lead):
            # One object for all: 48 bytes less. A tier's own class of them says more than an equal one would.
            node.kinds = self._kinds.setdefault(kinds, kinds) if type(kinds) is tuple else kinds
            node.index, node.place = index, place
            index[place] = node

    def renew(self, entry: IndexedEntry, now: float) -> bool:
        """Bring `entry` to the present epoch, if it is alive and not due."""
        if not isinstance(entry, Node) or self.nodes.get(entry.key) is not entry:
            return False
        if entry.due <= now or not entry.alive(now):
            return False
        entry.epoch = self.epoch
        entry.visited = True
        return True

    def begin_anew(self) -> None:
        """Be empty, and end all that was handed out; these may be half changed."""
        for token in [*self._loads.values(), *self._carriers.tokens()]:
            token.dead = True
        for node in self.nodes.values():
            node.epoch = node.newer = node.older = None  # a ring would stay until the collector comes
        # Whole indexes: to find a place in one is to compare what was called with, which may be slow or fail.
        for index in {id(node.index): node.index for node in self.nodes.values() if node.index}.values():
            index.clear()
        self.__init__(self._max_entries, self._max_bytes)  # type: ignore[misc]

    def _make_room(self, size: int, now: float, gone: list[Node]) -> bool:
        """Remove others until one of `size` fits; False if it never would."""
        most = self._max_bytes
        if most is not None and size > most:
            return False
        while len(self.nodes) >= self._max_entries or (most is not None and self.bytes + size > most):
            self._remove(self._sieve.victim(now), gone)
        return True

    def _remove(self, node: Node, gone: list[Node]) -> None:
        node.epoch = None  # a reader that has just found it must not serve it any more
        _unpin(node)
        self._sieve.remove(node)
        del self.nodes[node.key]
        self.bytes -= node.size
        self._carriers.detach(node)
        gone.append(node)


def _unpin(node: Node) -> None:
    if node.index is not None and node.index.get(node.place) is node:
        del node.index[node.place]
    node.index = node.place = None
