"""The store for asyncio."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scalekit.cache._frame import entry_name, lease_name, load_name
from scalekit.cache.redis._beginning import Beginning
from scalekit.cache.redis._commands import Pieces, checked_clock, layout, set_token
from scalekit.cache.redis._reading import Reading, living_alone
from scalekit.cache.redis._scripts import KEEP, WRITE
from scalekit.cache.redis._writing import keeping, ready, writing
from scalekit.errors import BackendError
from scalekit.redis._failure import is_unstable
from scalekit.redis._given import async_given_link
from scalekit.redis._leases import async_leases_of
from scalekit.redis._script import async_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from scalekit._time import Clock
    from scalekit.cache._entry import Entry, Slot, Snapshot
    from scalekit.cache.redis._commands import Piece
    from scalekit.cache.redis._writing import Writing
    from scalekit.redis import AsyncRedisLink


class AsyncRedisCacheStore:
    """`RedisCacheStore` for asyncio: it takes an `AsyncRedisLink` or a `redis.asyncio` client."""

    def __init__(
        self, link: AsyncRedisLink | AsyncRedis | AsyncRedisCluster, *, wall_clock: Clock = time.time
    ) -> None:
        self._link: AsyncRedisLink = async_given_link(link, store="AsyncRedisCacheStore")
        self._leases = async_leases_of(self._link)
        self._clock = checked_clock(wall_clock)
        self._layout = layout(cluster=self._link.cluster)
        self._pieces = Pieces()

    @property
    def link(self) -> AsyncRedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or a snapshot; see `RedisCacheStore.read`."""
        # Most reads are hits, and for one entry the steps of a batch take a fifth as long as the round trip.
        wall = self._clock()
        wanted = [self._pieces.entry(slot.key), *map(self._pieces.tag, slot.tags)]
        values = await self._values(wanted)
        entry = living_alone(slot, wanted, values, now, wall)
        if entry is not None:
            return entry
        reading = Reading(self._pieces, (slot,), now, wall)
        reading.found([values[0], *map(dict(zip(wanted, values, strict=True)).get, reading.wanted[1:])])
        return (await self._finished(reading))[0]

    async def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would; see `RedisCacheStore.read_many`."""
        reading = Reading(self._pieces, slots, now, self._clock())
        reading.found(await self._values(reading.wanted))
        return await self._finished(reading)

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; see `RedisCacheStore.begin`."""
        return (await self._begun((slot,), outdate=outdate))[0]

    async def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: ARG002, FBT001  # as above
        """Return for each of `slots` what `begin` would; see `BatchCacheStore.begin_many`."""
        return await self._begun(slots, outdate=outdate)

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` unless outdated; see `RedisCacheStore.write`."""
        return (await self._written([writing(slot, entry, snapshot, now, self._clock())]))[0]

    async def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would; see `RedisCacheStore.write_many`."""
        return await self._written([writing(*write, now, self._clock()) for write in writes])

    async def delete(self, keys: Sequence[str], /) -> None:
        """Remove entries and outdate running loads; see `RedisCacheStore.delete`."""
        if not keys:
            return
        try:
            await self._link.pipeline(self._layout.deletes(keys))
        except BackendError as error:
            if not is_unstable(error):
                raise
            # In this order: when the tokens are gone, no load can store anything that began before.
            await self._link.pipeline([("UNLINK", load_name(key)) for key in keys])
            await self._link.pipeline([("UNLINK", entry_name(key)) for key in keys])

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """End every entry that carries one of `tags`; see `RedisCacheStore.invalidate`."""
        if tags:
            await self._link.pipeline(self._layout.invalidates(tags))

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        return await self._leases.acquire(lease_name(key), owner, seconds)

    async def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back, if `owner` still has it, and wake those who wait for it."""
        await self._leases.release(lease_name(key), owner)

    async def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back, after `seconds` at the latest; possibly earlier."""
        await self._leases.wait(lease_name(key), seconds)

    async def _values(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        if not pieces:
            return []
        return self._layout.values(await self._link.pipeline(self._layout.gets(pieces)), len(pieces))

    async def _begun(self, slots: Sequence[Slot], *, outdate: bool) -> list[Snapshot]:
        if not slots:
            return []
        beginning = Beginning(self._pieces, slots)
        commands = [*beginning.commands(outdate=outdate), *self._layout.gets(beginning.wanted)]
        replies = await self._link.pipeline(commands)
        return beginning.made(self._layout.values(replies, len(beginning.wanted)))

    async def _finished(self, reading: Reading) -> list[Entry | Snapshot]:
        if unnamed := reading.unnamed:
            reading.told(unnamed, await self._values(unnamed))
        if lost := reading.lost:
            commands = [*map(set_token, lost), *self._layout.gets(lost)]
            reading.made(lost, self._layout.values(await self._link.pipeline(commands), len(lost)))
        return reading.results

    async def _written(self, writes: Sequence[Writing]) -> list[bool]:
        if not self._link.cluster:
            calls = [write.at_once() for write in writes]
            return [bool(done) for done in await async_run(self._link, WRITE, calls)]
        tags = keeping(writes)
        left = ready(writes, tags.told(await async_run(self._link, KEEP, tags.operands)))
        stored = dict(zip(left, await async_run(self._link, WRITE, [*left.values()]), strict=True))
        return [bool(stored.get(place)) for place in range(len(writes))]
