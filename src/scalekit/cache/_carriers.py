"""Which entries carry which tags, so that one operation ends them however many they are.

A tag that few entries carry leads to these, and they are removed when it is invalidated: other entries
hear nothing of it, and a tag of its own costs an entry no more than a place in a dict. A tag that many
carry has a token, which they all refer to and which dies instead of them.

Loads compare tokens too: that a tag's token is the one they began with, and has not died, proves that it
was not invalidated since. Where no entry needs the token it lives as long as such a load holds it. So the
memory for tags is bounded by the entries that carry them and the loads that are running. Until it is dead a
token is filed somewhere at each instant, which is when another thread may fork.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from scalekit.cache._entry import Snapshot
from scalekit.cache._node import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FEW = 8
"""Carriers that an invalidation removes one by one."""


class Token:
    """A key or tag until it is invalidated; what comes after that has another one."""

    __slots__ = ("__weakref__", "carriers", "dead", "name", "tags")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.carriers = 0
        self.tags: tuple[Token, ...] = ()  # that of the latest of its carriers: what the next may share


class Carriers:
    """The tags of all nodes. Not safe to share between threads."""

    __slots__ = ("_loads", "_tags")

    def __init__(self) -> None:
        self._tags: dict[str, Node | tuple[Node, ...] | Token] = {}
        self._loads: WeakValueDictionary[str, Token] = WeakValueDictionary()

    def token(self, name: str) -> Token:
        """Return the token with which a load of a value that is to carry the tag may begin."""
        held = self._tags.get(name)
        return held if isinstance(held, Token) else load_token(self._loads, name)

    def attach(self, node: Node, names: Iterable[str]) -> None:
        """Let `node`, which is new, carry the tags."""
        few: list[str] = []
        many: list[Token] = []
        for name in names:
            held = self._tags.get(name)
            if isinstance(held, tuple) and len(held) >= _FEW:
                held = self._promoted(name, held)
            if isinstance(held, Token):
                held.carriers += 1
                many.append(held)
            elif held is None:
                self._tags[name] = node
                few.append(name)
            elif held is not node:  # which would be a tag named twice
                others = held if isinstance(held, tuple) else (held,)
                if node not in others:
                    self._tags[name] = (*others, node)
                    few.append(name)
        node.names = _packed(few)
        node.tags = _shared(many)

    def detach(self, node: Node) -> None:
        """Let `node` carry nothing any more."""
        for name in _unpacked(node.names):
            held = self._tags.get(name)
            if held is node:
                del self._tags[name]
            elif isinstance(held, tuple):
                left = [other for other in held if other is not node]
                self._tags[name] = tuple(left) if len(left) > 1 else left[0]
        for token in node.tags:
            token.carriers -= 1
            if not token.carriers and not token.dead:
                # A load may hold it still, and must find it dead after an invalidation.
                self._loads[token.name] = token
                del self._tags[token.name]
                token.tags = ()
        node.names = None

    def end(self, name: str) -> tuple[tuple[Node, ...], bool]:
        """End the tag: return the few carriers, which the caller removes, and whether many have died."""
        held = self._tags.get(name)
        token = held if isinstance(held, Token) else self._loads.get(name)
        if token is not None:
            token.dead = True
            token.tags = ()
        self._tags.pop(name, None)
        if token is not held:
            self._loads.pop(name, None)
        if isinstance(held, Node):
            return (held,), False
        return (held, False) if isinstance(held, tuple) else ((), held is not None)

    def tokens(self) -> Iterator[Token]:
        """Yield all tokens that are alive, in the middle of a change, too."""
        yield from (held for held in self._tags.values() if isinstance(held, Token))
        yield from self._loads.values()

    def _promoted(self, name: str, nodes: tuple[Node, ...]) -> Token:
        """Give the tag a token, since there are no longer few."""
        token = load_token(self._loads, name)
        token.carriers = len(nodes)
        self._tags[name] = token
        del self._loads[name]
        for node in nodes:
            node.names = _packed([other for other in _unpacked(node.names) if other != name])
            node.tags = _shared([*node.tags, token])
        return token


def load_token(tokens: WeakValueDictionary[str, Token], name: str) -> Token:
    """Return the token of `name` that running loads hold, or a new one for them."""
    token = tokens.get(name)
    if token is None:
        token = tokens[name] = Token(name)
    return token


def outdated() -> Snapshot:
    """Return a snapshot with which nothing is stored, and which equals no other."""
    token = Token("")
    token.dead = True
    return Snapshot((token,))


def _shared(tags: list[Token]) -> tuple[Token, ...]:
    """Return `tags` as a tuple: if possible the one that other entries have, it takes 56 bytes or more."""
    if not tags:
        return ()
    # The one that the fewest carry says most about the others.
    rarest = tags[0] if len(tags) == 1 else min(tags, key=attrgetter("carriers"))
    if rarest.tags != (made := tuple(tags)):
        rarest.tags = made
    return rarest.tags


def _packed(names: list[str]) -> str | tuple[str, ...] | None:
    return tuple(names) if len(names) > 1 else names[0] if names else None


def _unpacked(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else names
