"""The blocking store."""

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
from scalekit.redis._given import given_link
from scalekit.redis._leases import leases_of
from scalekit.redis._script import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis, RedisCluster

    from scalekit._time import Clock
    from scalekit.cache._entry import Entry, Slot, Snapshot
    from scalekit.cache.redis._commands import Piece
    from scalekit.cache.redis._writing import Writing
    from scalekit.redis import RedisLink


class RedisCacheStore:
    """Keeps values in Redis, Valkey or a Redis Cluster, as bytes, shared by all processes that use it.

    `link` is a `RedisLink`, which several stores may share, or a blocking redis-py client, for which the
    store makes a link with its defaults. Errors: `BackendError` and its subclasses, as the link raises
    them, `SerialisationError` for a value that would not come back as it is, and `ConfigurationError`
    for anything else than such a link.

    An entry ends by the server's clock; `wall_clock` (default `time.time`) only tells how much of its life is
    left. A load that takes longer than an hour may not be stored. A stale entry comes without a snapshot,
    which nobody needs but who reloads it.

    Round trips, each bounded by the link's deadline: 1 for a hit, 2 for a miss, 1 more for an entry with tags
    that the slot does not name, 1 for all else, and 1 more for a write after the server forgot its scripts.
    On a cluster 2 for a write, and a deletion takes up to 3 while its slot moves to another node.

    A batch of writes is refused as a whole, and before anything is sent, when one of its values cannot be
    stored as it is. If the server refuses some of it, the others have taken effect.
    """

    def __init__(self, link: RedisLink | Redis | RedisCluster, *, wall_clock: Clock = time.time) -> None:
        self._link: RedisLink = given_link(link, store="RedisCacheStore")
        self._leases = leases_of(self._link)
        self._clock = checked_clock(wall_clock)
        self._layout = layout(cluster=self._link.cluster)
        self._pieces = Pieces()

    @property
    def link(self) -> RedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        # Most reads are hits, and for one entry the steps of a batch take a fifth as long as the round trip.
        wall = self._clock()
        wanted = [self._pieces.entry(slot.key), *map(self._pieces.tag, slot.tags)]
        values = self._values(wanted)
        entry = living_alone(slot, wanted, values, now, wall)
        if entry is not None:
            return entry
        reading = Reading(self._pieces, (slot,), now, wall)
        reading.found([values[0], *map(dict(zip(wanted, values, strict=True)).get, reading.wanted[1:])])
        return (self._finished(reading))[0]

    def read_many(self, slots: Sequence[Slot], now: float, /) -> list[Entry | Snapshot]:
        """Return for each of `slots` what `read` would, in as many round trips as for one."""
        reading = Reading(self._pieces, slots, now, self._clock())
        reading.found(self._values(reading.wanted))
        return self._finished(reading)

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        return (self._begun((slot,), outdate=outdate))[0]

    def begin_many(self, slots: Sequence[Slot], now: float, outdate: bool, /) -> list[Snapshot]:  # noqa: ARG002, FBT001  # as above
        """Return for each of `slots` what `begin` would, in as many round trips as for one."""
        return self._begun(slots, outdate=outdate)

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        return self._written([writing(slot, entry, snapshot, now, self._clock())])[0]

    def write_many(self, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float, /) -> list[bool]:
        """Do for each of `writes` what `write` would, in as many round trips as for one."""
        return self._written([writing(*write, now, self._clock()) for write in writes])

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        if not keys:
            return
        try:
            self._link.pipeline(self._layout.deletes(keys))
        except BackendError as error:
            if not is_unstable(error):
                raise
            # In this order: when the tokens are gone, no load can store anything that began before.
            self._link.pipeline([("UNLINK", load_name(key)) for key in keys])
            self._link.pipeline([("UNLINK", entry_name(key)) for key in keys])

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        if tags:
            self._link.pipeline(self._layout.invalidates(tags))

    def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        return self._leases.acquire(lease_name(key), owner, seconds)

    def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back, if `owner` still has it, and wake those who wait for it."""
        self._leases.release(lease_name(key), owner)

    def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back, after `seconds` at the latest; possibly earlier."""
        self._leases.wait(lease_name(key), seconds)

    def _values(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        if not pieces:
            return []
        return self._layout.values(self._link.pipeline(self._layout.gets(pieces)), len(pieces))

    def _begun(self, slots: Sequence[Slot], *, outdate: bool) -> list[Snapshot]:
        if not slots:
            return []
        beginning = Beginning(self._pieces, slots)
        commands = [*beginning.commands(outdate=outdate), *self._layout.gets(beginning.wanted)]
        replies = self._link.pipeline(commands)
        return beginning.made(self._layout.values(replies, len(beginning.wanted)))

    def _finished(self, reading: Reading) -> list[Entry | Snapshot]:
        if unnamed := reading.unnamed:
            reading.told(unnamed, self._values(unnamed))
        if lost := reading.lost:
            commands = [*map(set_token, lost), *self._layout.gets(lost)]
            reading.made(lost, self._layout.values(self._link.pipeline(commands), len(lost)))
        return reading.results

    def _written(self, writes: Sequence[Writing]) -> list[bool]:
        if not self._link.cluster:
            calls = [write.at_once() for write in writes]
            return [bool(done) for done in run(self._link, WRITE, calls)]
        tags = keeping(writes)
        left = ready(writes, tags.told(run(self._link, KEEP, tags.operands)))
        stored = dict(zip(left, run(self._link, WRITE, [*left.values()]), strict=True))
        return [bool(stored.get(place)) for place in range(len(writes))]
