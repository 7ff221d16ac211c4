"""Rate limits in any storage of the `limits` package: Memcached, MongoDB, or one of your own.

Its guarantees are weaker than those of the other stores; what a storage cannot do is refused.
"""

from scalekit._lazy import exports

__all__ = ["AsyncLimitsRateLimitStore", "LimitsRateLimitStore"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.ratelimit.limits._async import AsyncLimitsRateLimitStore as AsyncLimitsRateLimitStore
    from scalekit.ratelimit.limits._sync import LimitsRateLimitStore as LimitsRateLimitStore
else:
    __getattr__, __dir__ = exports(
        __name__, {"_async": ["AsyncLimitsRateLimitStore"], "_sync": ["LimitsRateLimitStore"]}
    )
