"""The twin of `_leases` for asyncio."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from scalekit.redis._leases import ACQUIRE, LONGEST_PAUSE, RELEASE, milliseconds, pauses
from scalekit.redis._script import async_run

if TYPE_CHECKING:
    from scalekit.redis._async import AsyncRedisLink


class AsyncLeases:
    """The leases of an asyncio link."""

    def __init__(self, link: AsyncRedisLink) -> None:
        self._link = link

    async def acquire(self, name: bytes, owner: bytes, seconds: float) -> bool:
        """Take or renew the lease of `name`; see `Leases.acquire`."""
        return await async_run(self._link, ACQUIRE, [(1, name, owner, milliseconds(seconds))]) == [1]

    async def release(self, name: bytes, owner: bytes) -> None:
        """Give the lease back; see `Leases.release`."""
        await async_run(self._link, RELEASE, [(1, name, owner)])

    async def wait(self, name: bytes, seconds: float) -> None:
        """Return when the lease of `name` is given back; see `Leases.wait`."""
        until = monotonic() + seconds
        async with self._link.listener.bell(name) as bell:
            await _within(min(seconds, self._link.timeout, LONGEST_PAUSE), bell.armed)
            for pause in pauses():
                left = until - monotonic()
                life = await self._link.execute("PTTL", name) if left > 0 else -1
                if life < 0:  # -2: it is not there
                    return
                longest = left if bell.armed.is_set() else min(left, pause)
                if await _within(min(longest, (life + 1) / 1_000), bell.rung):
                    return


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`, as `threading.Event.wait` does."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
