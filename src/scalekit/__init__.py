"""Scaling building blocks for any Python application.

Five blocks, each a subpackage with pluggable backends and a sync and an async face: `cache`,
`ratelimit`, `pagination`, `images` and `pools`. Importing `scalekit` loads none of them: every
name below is fetched on first use (PEP 562), so an application pays only for what it touches.
"""

from scalekit._lazy import exports

__version__ = "0.1.0.dev0"

__all__ = [
    "AsyncCache",
    "AsyncCursorPaginator",
    "AsyncImageCompressor",
    "AsyncOffsetPaginator",
    "AsyncRateLimiter",
    "AsyncRedisLink",
    "Cache",
    "CachePolicy",
    "CursorPaginator",
    "ImageCompressor",
    "ImageRecipe",
    "Limit",
    "Load",
    "OffsetPaginator",
    "PoolConfig",
    "RateLimiter",
    "RedisLink",
    "Role",
    "ScalekitError",
    "Server",
    "__version__",
    "plan_pools",
]

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing (3 ms)
if TYPE_CHECKING:
    from scalekit.cache import AsyncCache as AsyncCache
    from scalekit.cache import Cache as Cache
    from scalekit.cache import CachePolicy as CachePolicy
    from scalekit.errors import ScalekitError as ScalekitError
    from scalekit.images import AsyncImageCompressor as AsyncImageCompressor
    from scalekit.images import ImageCompressor as ImageCompressor
    from scalekit.images import ImageRecipe as ImageRecipe
    from scalekit.pagination import AsyncCursorPaginator as AsyncCursorPaginator
    from scalekit.pagination import AsyncOffsetPaginator as AsyncOffsetPaginator
    from scalekit.pagination import CursorPaginator as CursorPaginator
    from scalekit.pagination import OffsetPaginator as OffsetPaginator
    from scalekit.pools import Load as Load
    from scalekit.pools import PoolConfig as PoolConfig
    from scalekit.pools import Role as Role
    from scalekit.pools import Server as Server
    from scalekit.pools import plan_pools as plan_pools
    from scalekit.ratelimit import AsyncRateLimiter as AsyncRateLimiter
    from scalekit.ratelimit import Limit as Limit
    from scalekit.ratelimit import RateLimiter as RateLimiter
    from scalekit.redis import AsyncRedisLink as AsyncRedisLink
    from scalekit.redis import RedisLink as RedisLink
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "cache": ["AsyncCache", "Cache", "CachePolicy"],
            "errors": ["ScalekitError"],
            "images": ["AsyncImageCompressor", "ImageCompressor", "ImageRecipe"],
            "pagination": [
                "AsyncCursorPaginator",
                "AsyncOffsetPaginator",
                "CursorPaginator",
                "OffsetPaginator",
            ],
            "pools": ["Load", "PoolConfig", "Role", "Server", "plan_pools"],
            "ratelimit": ["AsyncRateLimiter", "Limit", "RateLimiter"],
            "redis": ["AsyncRedisLink", "RedisLink"],
        },
    )
