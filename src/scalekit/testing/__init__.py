"""For tests: a manual clock, conformance suites of stores, sources and serializers, and fault wrappers."""

from scalekit._lazy import exports

__all__ = [
    "CacheStoreSuite",
    "Gate",
    "ManualClock",
    "PageSourceSuite",
    "RateLimitStoreSuite",
    "SerializerSuite",
    "flaky",
    "hung",
    "slow",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.testing.cache import CacheStoreSuite as CacheStoreSuite
    from scalekit.testing.clock import ManualClock as ManualClock
    from scalekit.testing.faults import Gate as Gate
    from scalekit.testing.faults import flaky as flaky
    from scalekit.testing.faults import hung as hung
    from scalekit.testing.faults import slow as slow
    from scalekit.testing.pages import PageSourceSuite as PageSourceSuite
    from scalekit.testing.ratelimit import RateLimitStoreSuite as RateLimitStoreSuite
    from scalekit.testing.serializer import SerializerSuite as SerializerSuite
else:
    _exported, __dir__ = exports(
        __name__,
        {
            "cache": ["CacheStoreSuite"],
            "clock": ["ManualClock"],
            "faults": ["Gate", "flaky", "hung", "slow"],
            "pages": ["PageSourceSuite"],
            "ratelimit": ["RateLimitStoreSuite"],
            "serializer": ["SerializerSuite"],
        },
    )

    def __getattr__(name: str) -> object:
        try:
            return _exported(name)
        except ModuleNotFoundError as error:
            absent = (error.name or "").partition(".")[0]
            if absent not in {"pytest", "hypothesis"}:
                raise
            # No extra installs them: who writes a store has a test runner, and its version is theirs to say.
            text = f"{name} needs {absent}: pip install pytest hypothesis"
            raise ModuleNotFoundError(text, name=absent) from error
