"""For tests: a manual clock, conformance suites for third-party stores, and fault wrappers."""

from scalekit._lazy import exports

__all__ = ["CacheStoreSuite", "Gate", "ManualClock", "RateLimitStoreSuite", "flaky", "hung", "slow"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.testing.cache import CacheStoreSuite as CacheStoreSuite
    from scalekit.testing.clock import ManualClock as ManualClock
    from scalekit.testing.faults import Gate as Gate
    from scalekit.testing.faults import flaky as flaky
    from scalekit.testing.faults import hung as hung
    from scalekit.testing.faults import slow as slow
    from scalekit.testing.ratelimit import RateLimitStoreSuite as RateLimitStoreSuite
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "cache": ["CacheStoreSuite"],
            "clock": ["ManualClock"],
            "faults": ["Gate", "flaky", "hung", "slow"],
            "ratelimit": ["RateLimitStoreSuite"],
        },
    )
