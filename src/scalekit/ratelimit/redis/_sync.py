"""The sync face of the rate limits on a Redis or Valkey server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scalekit.ratelimit.redis._call import operands, script_of, stored_key, verdict_of
from scalekit.ratelimit.redis._prelude import CLOCK
from scalekit.redis._given import given_link
from scalekit.redis._script import run

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.redis import RedisLink


class RedisRateLimitStore:
    """Keeps what each key consumed on a Redis or Valkey server (6.2 or later), for all processes.

    `link` is a `RedisLink`, or a redis-py client to make one from with its default options
    (a deadline of 50 ms). Raises `ConfigurationError` for anything else.

    Each call is one script on one key, so it is atomic, one round trip, and at home on a cluster. The
    first call after the server forgot its scripts takes two. Time is the server's, never the caller's.
    Every algorithm answers as its rule in `MemoryRateLimitStore` does. Keys of limiters differ by algorithm;
    who calls the store himself with another algorithm for a key lets it start anew.

    A key expires at most 10 ms after its last unit counts no more, and never before; a refund does not
    bring that forward, and a log is kept for the longest window that it served. Its string takes 8 bytes
    per unit that still counts under limits up to 512 units, 410 bytes for each larger limit
    ("sliding-window"), 8 bytes per unit under any limit ("sliding-log"), or at most 20 bytes per limit (the
    others), and some 40 beside that.

    A limit may be at most 2,147,483,648 units, of "sliding-log" 100,000, and a window 142 years; more is a
    `ConfigurationError` of the call.

    Worst case: a server that fails raises `BackendError` within the link's deadline, twice that if it
    fails right after it forgot its scripts; whether the cost was consumed is then unknown. What the
    server loses (an eviction under `maxmemory`, a restart without persistence, a failover before the
    replica had it) was never consumed: a key may then be admitted up to twice its limit in a window.
    """

    __slots__ = ("_link",)

    _clock: ClassVar[str] = CLOCK

    def __init__(self, link: RedisLink | Redis | RedisCluster) -> None:
        self._link = given_link(link, store="RedisRateLimitStore")

    @property
    def link(self) -> RedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    def hit(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        return verdict_of(self._run("hit", key, quota, cost), quota)

    def peek(self, key: str, quota: Quota, cost: int, _now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing."""
        return verdict_of(self._run("peek", key, quota, cost), quota)

    def refund(self, key: str, quota: Quota, cost: int, _now: int, /) -> None:
        """Take back the newest `cost` units of `key`."""
        self._run("refund", key, quota, cost)

    def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        self._link.execute("DEL", stored_key(key))

    def _run(self, operation: str, key: str, quota: Quota, cost: int) -> Any:
        call = operands(operation, key, quota, cost)
        script = script_of(quota.algorithm, len(quota.spans), self._clock)
        return (run(self._link, script, [call]))[0]
