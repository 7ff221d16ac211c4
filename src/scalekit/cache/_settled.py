"""The leases of a store, for tasks, which can be cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from scalekit.cache.protocols import AsyncLeasingCacheStore


def async_leasing(store: Any) -> SettledLeases | None:
    """Return the leases of `store` if it can elect one process to load a key."""
    return SettledLeases(store) if isinstance(store, AsyncLeasingCacheStore) else None


class SettledLeases:
    """Leases of which a cancelled task knows whether it has them, so that it can give them back."""

    __slots__ = ("_store",)

    def __init__(self, store: AsyncLeasingCacheStore) -> None:
        self._store = store

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """See `LeasingCacheStore.acquire`; a cancellation waits for the answer, a second one does not.

        A server goes on with a statement whose caller was cancelled, perhaps until after the release that
        follows on another connection: a lease of nobody would keep all others waiting until it ends.
        """
        asked = asyncio.ensure_future(self._store.acquire(key, owner, seconds))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.gather(asked, return_exceptions=True)
            raise

    async def release(self, key: str, owner: bytes, /) -> None:
        """See `LeasingCacheStore.release`."""
        await self._store.release(key, owner)

    async def wait(self, key: str, seconds: float, /) -> None:
        """See `LeasingCacheStore.wait`."""
        await self._store.wait(key, seconds)
