"""The places that processes share on a Redis or Valkey server; `_async_concurrency.py` is the twin."""

from __future__ import annotations

from random import uniform
from typing import TYPE_CHECKING, Any, ClassVar

from scalekit.ratelimit.redis._concurrency_call import operands, pause
from scalekit.ratelimit.redis._concurrency_script import script
from scalekit.redis._given import given_link
from scalekit.redis._script import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis, RedisCluster

    from scalekit.redis import RedisLink
    from scalekit.redis._script import Operands, Script


class RedisConcurrencyStore:
    """Keeps who holds a place on a Redis or Valkey server (6.2 or later), for all processes.

    `link` is a `RedisLink`, or a redis-py client to make one from with its default options. Each call is one
    script on one key, by the server's clock. Who waits asks again, the more often the nearer its turn is
    (every 10 to 200 ms), and keeps its rank meanwhile; one that is not heard of for 2 seconds loses it.

    Worst case: what the server loses (an eviction, a restart without persistence, a failover before the
    replica had it) lets others in beside the holders, who learn at their next renewal that they are `lost`.
    Raises `BackendError` within the link's deadline, and `ConfigurationError` for another link.
    """

    __slots__ = ("_link",)

    _script: ClassVar[Script] = script()

    def __init__(self, link: RedisLink | Redis | RedisCluster) -> None:
        self._link = given_link(link, store="RedisConcurrencyStore")

    @property
    def link(self) -> RedisLink:
        """The link, to close it or to see the state of its breaker."""
        return self._link

    def acquire(
        self, key: str, holder: str, places: int, lease: int, _wake: Callable[[], object], /
    ) -> float:
        """Return 0.0 if `holder` has a place now; else it is in line, and should ask again after that."""
        rank, first_end = self._run(operands("acquire", key, holder, places, lease))
        return pause(rank, first_end) * uniform(0.75, 1)  # noqa: S311  # so that not all ask at once

    def renew(self, key: str, holder: str, lease: int, /) -> bool:
        """Put the end of the lease off; return False if `holder` has none any more."""
        renewed: bool = self._run(operands("renew", key, holder, 0, lease)) == 1
        return renewed

    def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line."""
        self._run(operands("release", key, holder, 0, 0))

    def _run(self, call: Operands) -> Any:
        return (run(self._link, self._script, [call]))[0]
