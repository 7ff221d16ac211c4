"""What faces and stores pass to each other: slots, entries, snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import Self

    from scalekit.cache.protocols import Serializer


class Slot(NamedTuple):
    """One place in a store: `key`, and the `tags` that a value put there now would carry.

    Both are complete: the face has put its namespace in front, so a store compares them as they
    are. The first tag is the namespace's own, which `clear()` invalidates. `serializer` is for stores
    that keep bytes: the way in which values of this place are written. `l1` is for tiered stores:
    whether their near tier may answer.
    """

    key: str
    tags: tuple[str, ...]
    serializer: Serializer
    l1: bool = True


class Entry:
    """A cached value and its times: seconds on the clock whose reading the face passes along.

    It is *fresh* before `fresh_until` (`expires`, where not given) and *stale* from then to `expires`,
    when it ends. `load_seconds` is what its load took. Stores keep all of this and judge only the end.

    `snapshot` is for a stale entry that a store returns: what a reload may start from, as of that read.
    None says that the store would have to ask, with `begin`.
    """

    __slots__ = ("expires", "fresh_until", "load_seconds", "snapshot", "value")

    def __init__(
        self,
        value: Any,
        *,
        expires: float,
        fresh_until: float | None = None,
        load_seconds: float = 0.0,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.value: Any = value
        self.expires: float = expires
        self.fresh_until: float = expires if fresh_until is None else fresh_until
        self.load_seconds: float = load_seconds
        self.snapshot: Snapshot | None = snapshot

    def __repr__(self) -> str:
        times = f"fresh_until={self.fresh_until!r} expires={self.expires!r}"
        return f"<{type(self).__name__} {self.value!r} {times}>"


class NamedEntry(Entry):
    """An entry of which its store says that the slot named every tag it carries.

    A tier in front may keep it then: it will hear of all that can end it.
    """

    __slots__ = ()


class Snapshot(tuple[object, ...]):
    """The tokens of a key and its tags as a store saw them before a load.

    Only the store that made it can read it. Faces compare: two snapshots of one slot are equal if
    and only if nothing was invalidated between them. Tokens are unique, never counters, so a token
    that was lost and made anew cannot be taken for the old one.
    """

    __slots__ = ()


class Blind(Snapshot):
    """The snapshot of a store that could not be asked, or believed: nothing is written with it.

    It still tells flights apart: each invalidation by this process brings another one. What other processes
    invalidate while the store cannot be asked is not seen: then a call may share a load that began before.
    """

    __slots__ = ()

    @classmethod
    def made(cls) -> Self:
        """Return one that equals no other."""
        return cls((object(),))


class IndexedEntry:
    """What a compiled wrapper reads of an entry, without calling the store.

    It may be served while `epoch` is the store's own epoch and `due` lies ahead; the reader sets
    `visited`. `kinds` are the classes of the arguments it was filed under, since 1 == True == 1.0
    find the same place in a dict.
    """

    __slots__ = ("due", "epoch", "kinds", "value", "visited")

    due: float
    epoch: object
    kinds: tuple[type, ...]
    value: Any
    visited: bool
