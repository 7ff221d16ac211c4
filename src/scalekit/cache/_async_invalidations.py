"""Invalidations on their way to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache._entry import Blind
from scalekit.cache._queueing import REPLAY, Queueing
from scalekit.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Clock
    from scalekit.cache._async_background import AsyncBackground
    from scalekit.cache._entry import Slot
    from scalekit.cache._failure import Failure
    from scalekit.cache._pending import Doubt
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import AsyncCacheStore


class AsyncInvalidations(Queueing):
    """What one `AsyncCache` has told its store to forget."""

    def __init__(
        self,
        store: AsyncCacheStore,
        background: AsyncBackground,
        *,
        clock: Clock,
        watch: Watch,
        failure: Failure,
        everything: str,
    ) -> None:
        super().__init__(clock=clock, watch=watch, failure=failure, everything=everything)
        self._store = store
        self._background = background

    async def doubts(self, slot: Slot) -> Doubt | None:
        """Return what of the store's about `slot` may be from before what is queued; tries to deliver."""
        if not self._pending:
            return None
        await self._replay()
        return self._pending.doubts(slot)

    async def deliver(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        """Make sure that nothing of `keys` and `tags` is served again, or raise, or queue it."""
        self.blind = Blind.made()
        failed = await self._forget(keys, tags)
        if failed is None:
            self._tell(keys, tags, outcome="ok")
        else:
            self.undelivered(*failed, keys, tags)

    async def _forget(self, keys: Sequence[str], tags: Sequence[str]) -> tuple[str, BackendError] | None:
        """Make the store forget; return which of its methods failed, and how."""
        operation = "delete"
        try:
            if keys:
                await self._store.delete(keys)
            operation = "invalidate"
            if tags:
                await self._store.invalidate(tags)
        except BackendError as error:
            return operation, error
        return None

    async def _replay(self) -> None:
        if not self._pending.due(self._clock()):
            return
        keys, tags = self._pending.batch()
        failed = await self._forget(list(keys), list(tags))
        if failed is None:
            self._pending.done(keys, tags)
            self._tell(keys, tags, outcome="replayed")
        else:
            self._watch.failed(*failed)
            self._replay_later()

    def _replay_later(self) -> None:
        # Other processes go on serving what is queued, so it must not wait for somebody's call here.
        self._background.keep("", self._pause_and_replay, needed=self.__bool__)

    async def _pause_and_replay(self) -> None:
        await self._background.pause(REPLAY)
        await self._replay()
