"""What becomes of an invalidation that is told, raised or queued: the same for both faces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from scalekit.cache._entry import Blind
from scalekit.cache._pending import Pending

if TYPE_CHECKING:
    from collections.abc import Collection

    from scalekit._time import Clock
    from scalekit.cache._entry import Slot
    from scalekit.cache._failure import Failure
    from scalekit.cache._watch import Watch
    from scalekit.errors import BackendError

REPLAY = 1.0
"""Seconds between two replays of what is queued, where no call brings one forward."""


class Queueing(ABC):
    """What is queued, and what is told of it; it never asks the store."""

    def __init__(self, *, clock: Clock, watch: Watch, failure: Failure, everything: str) -> None:
        self._clock = clock
        self._watch = watch
        self._queues = failure.queues
        self._everything = everything
        self._pending = Pending(everything)
        self.blind = Blind.made()

    def __bool__(self) -> bool:
        """Whether any are queued."""
        return bool(self._pending)

    def blind_for(self, *, outdate: bool) -> Blind:
        """Return what a load of a store that fails begins with; `outdate` as in `CacheStore.begin`."""
        return Blind.made() if outdate else self.blind

    def undelivered(
        self, operation: str, error: BackendError, keys: Collection[str], tags: Collection[str]
    ) -> None:
        """Raise `error`, which kept the store from forgetting `keys` and `tags`, or queue them.

        `operation` is the store's method that failed.
        """
        self._watch.failed(operation, error)
        self._tell(keys, tags, outcome=self._lost)
        self._raise_or_queue(error, keys, tags)

    def unwritten(self, error: BackendError, slot: Slot) -> None:
        """Raise `error`, which kept the store from writing a value that was given, or queue a deletion.

        For the value is lost, and an older one must not stay.
        """
        self._watch.failed("write", error, key=slot.key)
        self._watch.told("set", outcome=self._lost, key=slot.key, tags=slot.tags)
        self._raise_or_queue(error, (slot.key,), ())

    @property
    def _lost(self) -> str:
        """How what the store has not done ends, as an event says it."""
        return "queued" if self._queues else "error"

    def _raise_or_queue(self, error: BackendError, keys: Collection[str], tags: Collection[str]) -> None:
        if not self._queues:
            raise error
        self._pending.add(keys, tags)
        self._replay_later()

    def _tell(self, keys: Collection[str], tags: Collection[str], *, outcome: str) -> None:
        """Tell of `keys` and `tags` that they were forgotten, or what else became of that."""
        for key in keys:
            self._watch.told("delete", outcome=outcome, key=key)
        some = tuple(tag for tag in tags if tag != self._everything)
        if some:
            self._watch.told("invalidate", outcome=outcome, tags=some)
        if self._everything in tags:
            self._watch.told("clear", outcome=outcome, tags=(self._everything,))

    @abstractmethod
    def _replay_later(self) -> None:
        """Deliver what is queued as soon as the store lets us, even if no call comes."""
