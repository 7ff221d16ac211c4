"""Rate limits for all processes that share a Redis or Valkey server, from 6.2 on, or a Redis Cluster.

One script on one key per call: atomic, one round trip, on the server's clock.
"""

from scalekit._lazy import exports

__all__ = [
    "AsyncRedisConcurrencyStore",
    "AsyncRedisRateLimitStore",
    "RedisConcurrencyStore",
    "RedisRateLimitStore",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.ratelimit.redis._async import AsyncRedisRateLimitStore as AsyncRedisRateLimitStore
    from scalekit.ratelimit.redis._async_concurrency import (
        AsyncRedisConcurrencyStore as AsyncRedisConcurrencyStore,
    )
    from scalekit.ratelimit.redis._concurrency import RedisConcurrencyStore as RedisConcurrencyStore
    from scalekit.ratelimit.redis._sync import RedisRateLimitStore as RedisRateLimitStore
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncRedisRateLimitStore"],
            "_async_concurrency": ["AsyncRedisConcurrencyStore"],
            "_concurrency": ["RedisConcurrencyStore"],
            "_sync": ["RedisRateLimitStore"],
        },
    )
