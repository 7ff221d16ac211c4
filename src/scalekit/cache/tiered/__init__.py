"""Two tiers: a store in this process in front of one on Redis, coherent with it.

A hit in the near tier costs what a hit in a dict costs, and still nobody sees a value for long after another
process has invalidated it: the server announces every change of an entry or of a tag's token, and the near
copy goes. How that is kept right says `_near`; how announcements are heard, `scalekit.redis._session`.
"""

from scalekit._lazy import exports

__all__ = ["AsyncTieredCacheStore", "TieredCacheStore"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.cache.tiered._async import AsyncTieredCacheStore as AsyncTieredCacheStore
    from scalekit.cache.tiered._sync import TieredCacheStore as TieredCacheStore
else:
    __getattr__, __dir__ = exports(
        __name__, {"_async": ["AsyncTieredCacheStore"], "_sync": ["TieredCacheStore"]}
    )
