"""Cache-aside: a decorator and a store, never stale after an invalidation.

`Cache` for functions, `AsyncCache` for coroutine functions; both keep values in a `CacheStore`
(`MemoryCacheStore` if none is given). `protocols` says what a store of your own must do.
"""

from scalekit._lazy import exports

__all__ = [
    "AsyncBatchCacheStore",
    "AsyncCache",
    "AsyncCacheStore",
    "AsyncCachedFunction",
    "AsyncCachedManyFunction",
    "AsyncLeasingCacheStore",
    "AsyncTieredCacheStore",
    "BatchCacheStore",
    "Cache",
    "CacheEvent",
    "CachePolicy",
    "CacheStats",
    "CacheStore",
    "CachedFunction",
    "CachedManyFunction",
    "CompressedSerializer",
    "Entry",
    "IndexedCacheStore",
    "IndexedEntry",
    "LeasingCacheStore",
    "MemoryCacheStore",
    "MsgspecSerializer",
    "NonblockingCacheStore",
    "PickleSerializer",
    "Serializer",
    "Slot",
    "Snapshot",
    "TieredCacheStore",
    "WarmReport",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.cache._async import AsyncCache as AsyncCache
    from scalekit.cache._entry import (
        Entry as Entry,
    )
    from scalekit.cache._entry import (
        IndexedEntry as IndexedEntry,
    )
    from scalekit.cache._entry import (
        Slot as Slot,
    )
    from scalekit.cache._entry import (
        Snapshot as Snapshot,
    )
    from scalekit.cache._events import CacheEvent as CacheEvent
    from scalekit.cache._function import (
        AsyncCachedFunction as AsyncCachedFunction,
    )
    from scalekit.cache._function import (
        AsyncCachedManyFunction as AsyncCachedManyFunction,
    )
    from scalekit.cache._function import (
        CachedFunction as CachedFunction,
    )
    from scalekit.cache._function import (
        CachedManyFunction as CachedManyFunction,
    )
    from scalekit.cache._policy import CachePolicy as CachePolicy
    from scalekit.cache._stats import CacheStats as CacheStats
    from scalekit.cache._sync import Cache as Cache
    from scalekit.cache._warm import WarmReport as WarmReport
    from scalekit.cache.compressed import CompressedSerializer as CompressedSerializer
    from scalekit.cache.memory import MemoryCacheStore as MemoryCacheStore
    from scalekit.cache.msgspec import MsgspecSerializer as MsgspecSerializer
    from scalekit.cache.pickle import PickleSerializer as PickleSerializer
    from scalekit.cache.protocols import (
        AsyncBatchCacheStore as AsyncBatchCacheStore,
    )
    from scalekit.cache.protocols import (
        AsyncCacheStore as AsyncCacheStore,
    )
    from scalekit.cache.protocols import (
        AsyncLeasingCacheStore as AsyncLeasingCacheStore,
    )
    from scalekit.cache.protocols import (
        BatchCacheStore as BatchCacheStore,
    )
    from scalekit.cache.protocols import (
        CacheStore as CacheStore,
    )
    from scalekit.cache.protocols import (
        IndexedCacheStore as IndexedCacheStore,
    )
    from scalekit.cache.protocols import (
        LeasingCacheStore as LeasingCacheStore,
    )
    from scalekit.cache.protocols import (
        NonblockingCacheStore as NonblockingCacheStore,
    )
    from scalekit.cache.protocols import (
        Serializer as Serializer,
    )
    from scalekit.cache.tiered import AsyncTieredCacheStore as AsyncTieredCacheStore
    from scalekit.cache.tiered import TieredCacheStore as TieredCacheStore
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncCache"],
            "_entry": ["Entry", "IndexedEntry", "Slot", "Snapshot"],
            "_events": ["CacheEvent"],
            "_function": [
                "AsyncCachedFunction",
                "AsyncCachedManyFunction",
                "CachedFunction",
                "CachedManyFunction",
            ],
            "_policy": ["CachePolicy"],
            "_stats": ["CacheStats"],
            "_sync": ["Cache"],
            "_warm": ["WarmReport"],
            "compressed": ["CompressedSerializer"],
            "memory": ["MemoryCacheStore"],
            "msgspec": ["MsgspecSerializer"],
            "pickle": ["PickleSerializer"],
            "protocols": [
                "AsyncBatchCacheStore",
                "AsyncCacheStore",
                "AsyncLeasingCacheStore",
                "BatchCacheStore",
                "CacheStore",
                "IndexedCacheStore",
                "LeasingCacheStore",
                "NonblockingCacheStore",
                "Serializer",
            ],
            "tiered": ["AsyncTieredCacheStore", "TieredCacheStore"],
        },
    )
