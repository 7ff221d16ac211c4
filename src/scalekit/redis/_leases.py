"""Leases: of all processes that ask for a name, one has it, for a while.

A lease is one string, its owner, with an expiry, so every script touches one name and works on a cluster as
it is. Who waits is woken over a channel called as the lease is. The message is no more than a hint: it may be
lost with a connection, so who waits also asks, when the lease should have ended and, where no connection
listens, at growing intervals.
"""

from __future__ import annotations

import random
from time import monotonic
from typing import TYPE_CHECKING

from scalekit.redis._script import Script, run

if TYPE_CHECKING:
    from collections.abc import Generator

    from scalekit.redis._async import AsyncRedisLink
    from scalekit.redis._async_leases import AsyncLeases
    from scalekit.redis._sync import RedisLink

# KEYS: the lease. ARGV: the owner, milliseconds.
ACQUIRE = Script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
# Whoever may not publish releases all the same.
RELEASE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', KEYS[1], '')
return 1
""")

_FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5


def milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1_000))


def pauses() -> Generator[float]:
    """Yield how long to wait between two questions where no connection listens; of many no two at once."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        pause = min(LONGEST_PAUSE, pause * 1.5)


class Leases:
    """The leases of a blocking link. Errors: as the link raises them."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def acquire(self, name: bytes, owner: bytes, seconds: float) -> bool:
        """Take the lease of `name` for `seconds`, or renew it; False if another owner has it."""
        return run(self._link, ACQUIRE, [(1, name, owner, milliseconds(seconds))]) == [1]

    def release(self, name: bytes, owner: bytes) -> None:
        """Give the lease back, if `owner` still has it, and wake those who wait for it."""
        run(self._link, RELEASE, [(1, name, owner)])

    def wait(self, name: bytes, seconds: float) -> None:
        """Return when the lease of `name` is given back or ends, after `seconds` at the latest."""
        until = monotonic() + seconds
        with self._link.listener.bell(name) as bell:
            bell.armed.wait(min(seconds, self._link.timeout, LONGEST_PAUSE))
            for pause in pauses():
                left = until - monotonic()
                life = self._link.execute("PTTL", name) if left > 0 else -1
                if life < 0:  # -2: it is not there
                    return
                longest = left if bell.armed.is_set() else min(left, pause)
                if bell.rung.wait(min(longest, (life + 1) / 1_000)):
                    return


def leases_of(link: RedisLink) -> Leases:
    """Return the leases of a blocking link."""
    return Leases(link)


def async_leases_of(link: AsyncRedisLink) -> AsyncLeases:
    """Return the leases of an asyncio link."""
    from scalekit.redis._async_leases import AsyncLeases  # noqa: PLC0415  # brings asyncio, which threads can spare

    return AsyncLeases(link)
