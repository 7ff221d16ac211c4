# ruff: noqa: S101  # it serves a suite of tests
"""Readers that race a writer who updates a source and outdates what is kept of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scalekit.testing._cache_probe import CacheStoreProbe

_UPDATES = 60


class Race:
    """A source, of which nothing may be served that is older than what was `committed` when a read began."""

    def __init__(self) -> None:
        self.source = self.committed = 0
        self._stale: list[tuple[int, int]] = []
        self._running = True

    def served(self, value: int, oldest: int) -> None:
        """Take note of what was served to a read that began when `oldest` was committed."""
        if value < oldest:
            self._stale.append((value, oldest))

    async def loaded(self) -> int:
        """Return what a load brings: the source as it was when the load began."""
        value = self.source
        await asyncio.sleep(0.0002)
        return value

    def run(
        self,
        probe: CacheStoreProbe,
        outdate: Callable[[int], Awaitable[object]],
        turn: Callable[[], Awaitable[object]],
        *,
        readers: int,
    ) -> None:
        """Have `readers` take turns while `outdate` follows each update; nothing stale may be served."""
        reads = [partial(self._read, turn)] * readers
        probe.concurrently([partial(self._write, outdate), *reads])
        assert not self._stale, f"(served, committed before): {self._stale[:5]}"

    async def _write(self, outdate: Callable[[int], Awaitable[object]]) -> None:
        try:
            for update in range(_UPDATES):
                self.source += 1
                await outdate(update)
                self.committed = self.source
                await asyncio.sleep(0.0005)
        finally:
            self._running = False

    async def _read(self, turn: Callable[[], Awaitable[object]]) -> None:
        while self._running:
            await turn()
