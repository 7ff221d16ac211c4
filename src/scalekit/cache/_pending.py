"""Invalidations that could not be delivered, and what must not be believed until they are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from scalekit.cache._entry import NamedEntry, Snapshot
from scalekit.cache._exclusive import Exclusive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scalekit.cache._entry import Entry, Slot

Doubt = Literal["all", "unnamed"]
"""What not to believe a store: anything about a slot; or an entry that may carry tags which the slot does not
name."""

_BETWEEN_TRIES = 0.1
_MOST = 10_000
"""Names to queue one by one. Beyond, everything is to be forgotten: a long outage must not fill the memory,
and a server takes one name sooner than a million."""


class Pending:
    """The keys and tags of one cache whose invalidation is queued, in complete names.

    A name that is queued again while its replay is under way stays: that replay may have been carried out
    before the change that the second invalidation is about. `everything` is the tag that all entries carry.

    Each step of a change leaves in the queue what must be there, so those who look need no lock, and the
    child of a fork goes on with whatever it finds.
    """

    __slots__ = ("_count", "_everything", "_exclusive", "_keys", "_next", "_tags")

    def __init__(self, everything: str) -> None:
        self._everything = everything
        self._keys: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._count = 0
        self._exclusive = Exclusive()
        self._next = 0.0

    def __bool__(self) -> bool:
        return bool(self._keys or self._tags)

    def add(self, keys: Iterable[str], tags: Iterable[str]) -> None:
        """Queue the invalidation of `keys` and `tags`."""
        keys, tags = tuple(keys), tuple(tags)
        with self._exclusive as alone:
            self._add(keys, tags)
            if not alone:  # the call that this one is inside of may be about to take these names out
                self._exclusive.defer(partial(self._add, keys, tags))

    def doubts(self, slot: Slot) -> Doubt | None:
        """Return what of the store's about `slot` may be older than a queued invalidation; None for nothing.

        Another function may have written the entry, with a queued tag that this slot does not name. To doubt
        all slots while a tag is queued would turn every read into a load, for as long as a server can be read
        and not written to: which may be minutes. So the answer is judged, where a store says what it carries.
        """
        if slot.key in self._keys:  # first: keys that are too many are taken out once a tag stands for them
            return "all"
        tags = self._tags
        if not tags:
            return None
        return "all" if any(tag in tags for tag in slot.tags) else "unnamed"

    def due(self, now: float) -> bool:
        """Whether to try again now; then not again for a tenth of a second."""
        if now < self._next:
            return False
        self._next = now + _BETWEEN_TRIES
        return True

    def batch(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return what is queued: keys and tags, to be given to `done` when they are delivered."""
        with self._exclusive:
            return dict(self._keys), dict(self._tags)

    def done(self, keys: dict[str, int], tags: dict[str, int]) -> None:
        """Take out what was delivered, unless it was queued again since."""
        with self._exclusive as alone:
            if alone:
                self._done(keys, tags)
            else:
                self._exclusive.defer(partial(self._done, keys, tags))

    def _add(self, keys: tuple[str, ...], tags: tuple[str, ...]) -> None:
        self._count += 1
        number = self._count
        # Not by `|=`, which would bring back the old dict if a finaliser's call came to the limit meanwhile.
        self._keys.update(dict.fromkeys(keys, number))
        self._tags.update(dict.fromkeys(tags, number))
        if len(self._keys) + len(self._tags) > _MOST:
            self._tags = {self._everything: number}
            self._keys = {}

    def _done(self, keys: dict[str, int], tags: dict[str, int]) -> None:
        for queue, delivered in ((self._keys, keys), (self._tags, tags)):
            for name, number in delivered.items():
                if queue.get(name) == number:
                    del queue[name]


def believed(found: Entry | Snapshot, doubt: Doubt | None) -> bool:
    """Whether to believe what a store answered; `doubt` is from before it was asked."""
    return doubt is None or (doubt == "unnamed" and isinstance(found, NamedEntry | Snapshot))
