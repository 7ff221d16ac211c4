"""Stores on Redis or Valkey, from 6.2 on, and on Redis Cluster: one round trip for a hit, one to invalidate.

A hit is one `MGET` of the entry and the tokens of its tags. No script runs then: on one server `EVALSHA` of
the same was 3 times slower. Tokens are random and never counters, for a counter that is lost begins again,
and what died comes to life. `scalekit.cache._frame` says how entries lie on the server.
"""

from scalekit._lazy import exports

__all__ = ["AsyncRedisCacheStore", "RedisCacheStore"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.cache.redis._async import AsyncRedisCacheStore as AsyncRedisCacheStore
    from scalekit.cache.redis._sync import RedisCacheStore as RedisCacheStore
else:
    __getattr__, __dir__ = exports(
        __name__, {"_async": ["AsyncRedisCacheStore"], "_sync": ["RedisCacheStore"]}
    )
