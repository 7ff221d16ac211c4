"""AsyncInvalidations: delivered, raised or queued; and what must not be believed until they are delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache._entry import Blind
from scalekit.cache._pending import Pending
from scalekit.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Clock
    from scalekit.cache._async_background import AsyncBackground
    from scalekit.cache._entry import Slot
    from scalekit.cache._pending import Doubt
    from scalekit.cache._stores import Failure
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import AsyncCacheStore

_REPLAY = 1.0
"""Seconds between two replays of what is queued, where no call brings one forward."""


class AsyncInvalidations:
    """What one `Cache` has told its store to forget."""

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
        self._store = store
        self._background = background
        self._clock = clock
        self._watch = watch
        self._queues = failure.queues
        self._pending = Pending(everything)
        self.blind = Blind.made()

    def __bool__(self) -> bool:
        """Whether any are queued."""
        return bool(self._pending)

    async def doubts(self, slot: Slot) -> Doubt | None:
        """Return what of the store's about `slot` may be from before what is queued; tries to deliver."""
        if not self._pending:
            return None
        await self._replay()
        return self._pending.doubts(slot)

    async def deliver(self, keys: Sequence[str], tags: Sequence[str], *, name: str = "invalidate") -> None:
        """Make sure that nothing from before is served again, or raise, or queue it; `name` is for events."""
        self.blind = Blind.made()
        try:
            if keys:
                await self._store.delete(keys)
            if tags:
                await self._store.invalidate(tags)
        except BackendError as error:
            self.undelivered("delete" if keys else name, error, keys, tags)
            return
        self._watch.dropped(name, keys, tuple(tags), outcome="ok")

    def undelivered(
        self, operation: str, error: BackendError, keys: Sequence[str], tags: Sequence[str]
    ) -> None:
        """Raise `error`, which kept the store from forgetting `keys` and `tags`, or queue them."""
        self._watch.failed(operation, error)
        self._watch.dropped(operation, keys, tuple(tags), outcome="queued" if self._queues else "error")
        if not self._queues:
            raise error
        self._pending.add(keys, tags)
        self._replay_later()

    async def _replay(self) -> None:
        if not self._pending.due(self._clock()):
            return
        keys, tags = self._pending.batch()
        try:
            if keys:
                await self._store.delete(list(keys))
            if tags:
                await self._store.invalidate(list(tags))
        except BackendError as error:
            self._watch.failed("replay", error)
            self._replay_later()
            return
        self._pending.done(keys, tags)
        self._watch.dropped("invalidate", keys, tuple(tags), outcome="replayed")

    def _replay_later(self) -> None:
        # Other processes go on serving what is queued, so it must not wait for somebody's call here.
        self._background.keep("", self._pause_and_replay, needed=self.__bool__)

    async def _pause_and_replay(self) -> None:
        await self._background.pause(_REPLAY)
        await self._replay()
