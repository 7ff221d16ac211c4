"""What faces and stores pass to each other: slots, entries, snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from scalekit.cache.protocols import Serializer


class Slot(NamedTuple):
    """One place in a store: `key`, and the `tags` that a value put there now would carry.

    Both are complete: the face has put its namespace in front, so a store compares them as they
    are. The first tag is the namespace's own, which `clear()` invalidates. `serializer` is for stores
    that keep bytes: the way in which values of this place are written.
    """

    key: str
    tags: tuple[str, ...]
    serializer: Serializer


class Entry:
    """A cached value, and when it expires: seconds on the clock whose reading the face passes along."""

    __slots__ = ("expires", "value")

    def __init__(self, value: Any, *, expires: float) -> None:
        self.value: Any = value
        self.expires: float = expires

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.value!r} expires={self.expires!r}>"


class Snapshot(tuple[object, ...]):
    """The tokens of a key and its tags as a store saw them before a load.

    Only the store that made it can read it. Faces compare: two snapshots of one slot are equal if
    and only if nothing was invalidated between them. Tokens are unique, never counters, so a token
    that was lost and made anew cannot be taken for the old one.
    """

    __slots__ = ()


class IndexedEntry(Entry):
    """An entry that a compiled wrapper reads without calling the store.

    It may be served while `epoch` is the store's own epoch and `expires` lies ahead; the reader sets
    `visited`. `kinds` are the classes of the arguments it was filed under, since 1 == True == 1.0
    find the same place in a dict.
    """

    __slots__ = ("epoch", "kinds", "visited")

    epoch: object
    kinds: tuple[type, ...]
    visited: bool
