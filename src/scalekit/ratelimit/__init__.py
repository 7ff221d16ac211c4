"""Rate limiters: exact, several limits in one answer, all or none."""

from scalekit._lazy import exports

__all__ = [  # noqa: RUF022  # the house sorts plainly, constants among the rest
    "AsyncConcurrencyLimiter",
    "AsyncConcurrencyStore",
    "AsyncRateLimitStore",
    "AsyncRateLimiter",
    "ConcurrencyLimiter",
    "ConcurrencyStore",
    "Decision",
    "Limit",
    "LimitState",
    "MemoryConcurrencyStore",
    "MemoryRateLimitStore",
    "NEVER",
    "NonblockingConcurrencyStore",
    "NonblockingRateLimitStore",
    "Penalty",
    "Quota",
    "RateLimitEvent",
    "RateLimitStore",
    "RateLimiter",
    "Verdict",
    "client_key",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.ratelimit._async import AsyncRateLimiter as AsyncRateLimiter
    from scalekit.ratelimit._async_concurrency import AsyncConcurrencyLimiter as AsyncConcurrencyLimiter
    from scalekit.ratelimit._concurrency import ConcurrencyLimiter as ConcurrencyLimiter
    from scalekit.ratelimit._decision import Decision as Decision
    from scalekit.ratelimit._decision import LimitState as LimitState
    from scalekit.ratelimit._events import RateLimitEvent as RateLimitEvent
    from scalekit.ratelimit._key import client_key as client_key
    from scalekit.ratelimit._limit import Limit as Limit
    from scalekit.ratelimit._memory_concurrency import MemoryConcurrencyStore as MemoryConcurrencyStore
    from scalekit.ratelimit._penalty import Penalty as Penalty
    from scalekit.ratelimit._quota import NEVER as NEVER
    from scalekit.ratelimit._quota import Quota as Quota
    from scalekit.ratelimit._quota import Verdict as Verdict
    from scalekit.ratelimit._sync import RateLimiter as RateLimiter
    from scalekit.ratelimit.memory import MemoryRateLimitStore as MemoryRateLimitStore
    from scalekit.ratelimit.protocols import AsyncConcurrencyStore as AsyncConcurrencyStore
    from scalekit.ratelimit.protocols import AsyncRateLimitStore as AsyncRateLimitStore
    from scalekit.ratelimit.protocols import ConcurrencyStore as ConcurrencyStore
    from scalekit.ratelimit.protocols import NonblockingConcurrencyStore as NonblockingConcurrencyStore
    from scalekit.ratelimit.protocols import NonblockingRateLimitStore as NonblockingRateLimitStore
    from scalekit.ratelimit.protocols import RateLimitStore as RateLimitStore
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncRateLimiter"],
            "_async_concurrency": ["AsyncConcurrencyLimiter"],
            "_concurrency": ["ConcurrencyLimiter"],
            "_decision": ["Decision", "LimitState"],
            "_events": ["RateLimitEvent"],
            "_key": ["client_key"],
            "_limit": ["Limit"],
            "_memory_concurrency": ["MemoryConcurrencyStore"],
            "_penalty": ["Penalty"],
            "_quota": ["NEVER", "Quota", "Verdict"],
            "_sync": ["RateLimiter"],
            "memory": ["MemoryRateLimitStore"],
            "protocols": [
                "AsyncConcurrencyStore",
                "AsyncRateLimitStore",
                "ConcurrencyStore",
                "NonblockingConcurrencyStore",
                "NonblockingRateLimitStore",
                "RateLimitStore",
            ],
        },
    )
