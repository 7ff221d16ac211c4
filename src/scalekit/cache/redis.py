"""Stores on Redis or Valkey, from 6.2 on: one round trip for a hit, one command to invalidate a tag.

A hit is one `MGET` of the entry and the tokens that it must agree with. No script runs then: on one server
`EVALSHA` of the same was 3 times slower. Tokens are random and never counters, for a counter that is
lost begins again, and what died comes to life. `_frame` says how entries lie on the server.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scalekit.cache._entry import Entry, NamedEntry, Snapshot
from scalekit.cache._frame import (
    TOKEN_BYTES,
    Frame,
    entry_name,
    lease_name,
    load_name,
    opened,
    sealed,
    tag_name,
    token_names,
)
from scalekit.errors import BackendError, ConfigurationError
from scalekit.redis._failure import is_unknown_script
from scalekit.redis._given import async_given_link, given_link
from scalekit.redis._leases import Leases, async_leases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit._time import Clock
    from scalekit.cache._entry import Slot
    from scalekit.redis import AsyncRedisLink, RedisLink

Linked = TypeVar("Linked", "RedisLink", "AsyncRedisLink")
__all__ = ["AsyncRedisCacheStore", "RedisCacheStore"]

_LEASE = 3_600_000
"""Milliseconds for which a token is kept at least, once made: for so long a load may take."""

# KEYS: the entry, the token of its loads, those of its tags. ARGV: the entry's life (0 to take it away), how
# long tokens must live and how long they are given, the entry's head and tail, "1" where the tokens were seen
# before a load and "0" where they are new ones to use in place of lost ones, the tokens.
_WRITE = """
local tokens = {}
for i = 2, #KEYS do
  local given, token = ARGV[i + 5], redis.call('GET', KEYS[i])
  if ARGV[6] == '1' then
    if token ~= given then return 0 end
  elseif i == 2 or not token then
    redis.call('SET', KEYS[i], given, 'PX', ARGV[3])
    token = given
  end
  if i > 2 then tokens[i - 2] = token end
end
for i = 2, #KEYS do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
if ARGV[1] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[4] .. table.concat(tokens) .. ARGV[5], 'PX', ARGV[1])
end
return 1
"""
_WRITE_SHA = hashlib.sha1(_WRITE.encode()).hexdigest()  # noqa: S324  # the name that servers give a script


class RedisCacheStore:
    """Keeps values in Redis or Valkey, as bytes, shared by all processes that use the server.

    `link` is a `RedisLink`, which several stores may share, or a blocking redis-py client, for which the
    store makes a link with its defaults. Errors: `BackendError` and its subclasses, as the link raises
    them, `SerialisationError` for a value that would not come back as it is, and `ConfigurationError`
    for anything else than such a link, and for a Redis Cluster, which is not supported yet.

    An entry ends by the server's clock; `wall_clock` only tells how much of its life is left. A load that
    takes longer than an hour may not be stored. Round trips: 1 for a hit or a miss, 1 more for a miss
    whose tokens were lost or never made, or for an entry with tags that the slot does not name; 1 for
    all else. Each is bounded by the link's deadline.
    """

    def __init__(self, link: object, *, wall_clock: Clock = time.time) -> None:
        store = "RedisCacheStore"
        self._link: RedisLink = _one_server(given_link(link, store=store), store=store)
        self._leases = Leases(self._link)
        self._clock = _milliseconds(wall_clock)

    @property
    def link(self) -> RedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        names = token_names(slot)
        data, *found = self._link.execute("MGET", entry_name(slot.key), *names)
        tokens: dict[bytes, bytes | None] = dict(zip(names, found, strict=True))
        frame = opened(data, fingerprint=slot.serializer.fingerprint)
        if frame is not None:
            unnamed = [name for name, _ in frame.tags if name not in tokens]
            if unnamed:
                tokens.update(zip(unnamed, self._link.execute("MGET", *unnamed), strict=True))
            kind = Entry if unnamed else NamedEntry
            entry = _entry(frame, slot, now, self._clock(), kind) if frame.alive(tokens) else None
            if entry is not None:
                if entry.fresh_until <= now and None not in found:
                    entry.snapshot = Snapshot(found)
                return entry
        lost = [name for name in names if tokens[name] is None]
        if lost:
            replies = self._link.pipeline([*map(_made, lost), ("MGET", *lost)])
            tokens.update(zip(lost, replies[-1], strict=True))
        return _snapshot([tokens[name] for name in names])

    def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        load, *tags = names = token_names(slot)
        anew = ("SET", load, _token(), "PX", _LEASE) if outdate else _made(load)
        replies = self._link.pipeline([anew, *map(_made, tags), ("MGET", *names)])
        return _snapshot(replies[-1])

    def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        arguments = _write_arguments(slot, entry, snapshot, now, self._clock())
        try:
            stored = self._link.execute("EVALSHA", _WRITE_SHA, *arguments)
        except BackendError as error:
            if not is_unknown_script(error):
                raise
            stored = self._link.execute("EVAL", _WRITE, *arguments)
        return bool(stored)

    def delete(self, keys: Sequence[str], /) -> None:
        """Remove the entries of `keys`, and outdate the loads that are running for them."""
        if keys:
            self._link.execute("UNLINK", *map(entry_name, keys), *map(load_name, keys))

    def invalidate(self, tags: Sequence[str], /) -> None:
        """Make every entry that carries one of `tags` unreadable, and outdate the loads that would."""
        if tags:
            self._link.execute("UNLINK", *map(tag_name, tags))

    def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take the lease of `key` for `seconds`, or renew it; False if another owner has it."""
        return self._leases.acquire(lease_name(key), owner, seconds)

    def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back, if `owner` still has it, and wake those who wait for it."""
        self._leases.release(lease_name(key), owner)

    def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back, after `seconds` at the latest; possibly earlier."""
        self._leases.wait(lease_name(key), seconds)


class AsyncRedisCacheStore:
    """`RedisCacheStore` for asyncio: it takes an `AsyncRedisLink` or a `redis.asyncio` client."""

    def __init__(self, link: object, *, wall_clock: Clock = time.time) -> None:
        store = "AsyncRedisCacheStore"
        self._link: AsyncRedisLink = _one_server(async_given_link(link, store=store), store=store)
        self._leases = async_leases(self._link)
        self._clock = _milliseconds(wall_clock)

    @property
    def link(self) -> AsyncRedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    async def read(self, slot: Slot, now: float, /) -> Entry | Snapshot:
        """Return the living entry of `slot`, or a snapshot; see `RedisCacheStore.read`."""
        names = token_names(slot)
        data, *found = await self._link.execute("MGET", entry_name(slot.key), *names)
        tokens: dict[bytes, bytes | None] = dict(zip(names, found, strict=True))
        frame = opened(data, fingerprint=slot.serializer.fingerprint)
        if frame is not None:
            unnamed = [name for name, _ in frame.tags if name not in tokens]
            if unnamed:
                tokens.update(zip(unnamed, await self._link.execute("MGET", *unnamed), strict=True))
            kind = Entry if unnamed else NamedEntry
            entry = _entry(frame, slot, now, self._clock(), kind) if frame.alive(tokens) else None
            if entry is not None:
                if entry.fresh_until <= now and None not in found:
                    entry.snapshot = Snapshot(found)
                return entry
        lost = [name for name in names if tokens[name] is None]
        if lost:
            replies = await self._link.pipeline([*map(_made, lost), ("MGET", *lost)])
            tokens.update(zip(lost, replies[-1], strict=True))
        return _snapshot([tokens[name] for name in names])

    async def begin(self, slot: Slot, now: float, outdate: bool, /) -> Snapshot:  # noqa: ARG002, FBT001  # as the protocol has it
        """Return a snapshot for a load; see `RedisCacheStore.begin`."""
        load, *tags = names = token_names(slot)
        anew = ("SET", load, _token(), "PX", _LEASE) if outdate else _made(load)
        replies = await self._link.pipeline([anew, *map(_made, tags), ("MGET", *names)])
        return _snapshot(replies[-1])

    async def write(self, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, /) -> bool:
        """Store `entry` unless outdated; see `RedisCacheStore.write`."""
        arguments = _write_arguments(slot, entry, snapshot, now, self._clock())
        try:
            stored = await self._link.execute("EVALSHA", _WRITE_SHA, *arguments)
        except BackendError as error:
            if not is_unknown_script(error):
                raise
            stored = await self._link.execute("EVAL", _WRITE, *arguments)
        return bool(stored)

    async def delete(self, keys: Sequence[str], /) -> None:
        """Remove entries and outdate running loads; see `RedisCacheStore.delete`."""
        if keys:
            await self._link.execute("UNLINK", *map(entry_name, keys), *map(load_name, keys))

    async def invalidate(self, tags: Sequence[str], /) -> None:
        """End every entry that carries one of `tags`; see `RedisCacheStore.invalidate`."""
        if tags:
            await self._link.execute("UNLINK", *map(tag_name, tags))

    async def acquire(self, key: str, owner: bytes, seconds: float, /) -> bool:
        """Take or renew the lease of `key`; see `RedisCacheStore.acquire`."""
        return await self._leases.acquire(lease_name(key), owner, seconds)

    async def release(self, key: str, owner: bytes, /) -> None:
        """Give the lease back; see `RedisCacheStore.release`."""
        await self._leases.release(lease_name(key), owner)

    async def wait(self, key: str, seconds: float, /) -> None:
        """Return when the lease of `key` is given back; see `RedisCacheStore.wait`."""
        await self._leases.wait(lease_name(key), seconds)


def _one_server(link: Linked, *, store: str) -> Linked:
    if link.cluster:
        raise ConfigurationError(
            "link", link, f"to one server or a Sentinel master: {store} will learn Redis Cluster later"
        )
    return link


def _milliseconds(wall_clock: Clock) -> Callable[[], int]:
    if not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "as a callable that returns seconds")
    return lambda: int(wall_clock() * 1_000)


def _token() -> bytes:
    return os.urandom(TOKEN_BYTES)


def _made(name: bytes) -> tuple[Any, ...]:
    """Return the command that makes a token where none is; what is there is read after it.

    Only Redis 7 takes NX and GET together.
    """
    return ("SET", name, _token(), "NX", "PX", _LEASE)


def _snapshot(tokens: Sequence[bytes | None]) -> Snapshot:
    """Return a snapshot of `tokens`; what was evicted while we looked gets one that no write will find."""
    return Snapshot([_token() if token is None else token for token in tokens])


def _entry(frame: Frame, slot: Slot, now: float, wall: int, kind: type[Entry]) -> Entry | None:
    try:
        value = slot.serializer.loads(frame.value)
    except ValueError:
        return None
    age = frame.age(wall)
    return kind(
        value,
        expires=now + (frame.life - age) / 1_000,
        fresh_until=now + (frame.fresh - age) / 1_000,
        load_seconds=frame.load / 1_000_000,
    )


def _write_arguments(
    slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, wall: int
) -> tuple[Any, ...]:
    names = token_names(slot)
    life = max(0, int((entry.expires - now) * 1_000))
    head = tail = b""
    if life:
        serializer = slot.serializer
        head, tail = sealed(
            serializer.dumps(entry.value),
            names[1:],
            fingerprint=serializer.fingerprint,
            written=wall,
            life=life,
            fresh=min(life, max(0, int((entry.fresh_until - now) * 1_000))),
            load=int(entry.load_seconds * 1_000_000),
        )
    # Renewed when half of it is gone, not by every write, and at least twice the entry's own life.
    needed = 2 * life + _LEASE // 2
    seen = cast("tuple[bytes, ...] | None", snapshot)
    tokens = [_token() for _ in names] if seen is None else seen
    script_keys = (len(names) + 1, entry_name(slot.key), *names)
    return (*script_keys, life, needed, 2 * needed, head, tail, 0 if seen is None else 1, *tokens)
