"""Invalidations on their way to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache._entry import Blind
from scalekit.cache._queueing import REPLAY, Queueing
from scalekit.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Clock
    from scalekit.cache._background import Background
    from scalekit.cache._entry import Slot
    from scalekit.cache._failure import Failure
    from scalekit.cache._pending import Doubt
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import CacheStore


class Invalidations(Queueing):
    """What one `Cache` has told its store to forget."""

    def __init__(
        self,
        store: CacheStore,
        background: Background,
        *,
        clock: Clock,
        watch: Watch,
        failure: Failure,
        everything: str,
    ) -> None:
        super().__init__(clock=clock, watch=watch, failure=failure, everything=everything)
        self._store = store
        self._background = background

    def doubts(self, slot: Slot) -> Doubt | None:
        """Return what of the store's about `slot` may be from before what is queued; tries to deliver."""
        if not self._pending:
            return None
        self._replay()
        return self._pending.doubts(slot)

    def deliver(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        """Make sure that nothing of `keys` and `tags` is served again, or raise, or queue it."""
        self.blind = Blind.made()
        failed = self._forget(keys, tags)
        if failed is None:
            self._tell(keys, tags, outcome="ok")
        else:
            self.undelivered(*failed, keys, tags)

    def _forget(self, keys: Sequence[str], tags: Sequence[str]) -> tuple[str, BackendError] | None:
        """Make the store forget; return which of its methods failed, and how."""
        operation = "delete"
        try:
            if keys:
                self._store.delete(keys)
            operation = "invalidate"
            if tags:
                self._store.invalidate(tags)
        except BackendError as error:
            return operation, error
        return None

    def _replay(self) -> None:
        if not self._pending.due(self._clock()):
            return
        keys, tags = self._pending.batch()
        failed = self._forget(list(keys), list(tags))
        if failed is None:
            self._pending.done(keys, tags)
            self._tell(keys, tags, outcome="replayed")
        else:
            self._watch.failed(*failed)
            self._replay_later()

    def _replay_later(self) -> None:
        # Other processes go on serving what is queued, so it must not wait for somebody's call here.
        self._background.keep("", self._pause_and_replay, needed=self.__bool__)

    def _pause_and_replay(self) -> None:
        self._background.pause(REPLAY)
        self._replay()
