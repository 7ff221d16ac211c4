"""Links: one connection to Redis or Valkey, shared by several stores, with one deadline and one breaker.

A hung Redis hung every library we tried, for 2 to 93 seconds a call. A link answers within its deadline
(50 ms by default) or raises, and once its circuit breaker is open it raises at once, until the server
answers again. `RedisLink` serves threads, `AsyncRedisLink` asyncio.
"""

from scalekit._lazy import exports

__all__ = ["AsyncRedisLink", "RedisLink"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.redis._async import AsyncRedisLink as AsyncRedisLink
    from scalekit.redis._sync import RedisLink as RedisLink
else:
    __getattr__, __dir__ = exports(__name__, {"_async": ["AsyncRedisLink"], "_sync": ["RedisLink"]})
