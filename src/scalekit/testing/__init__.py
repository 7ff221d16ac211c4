"""For tests: a manual clock, conformance suites for third-party stores, and fault wrappers."""

from scalekit._lazy import exports

__all__ = ["ManualClock"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.testing.clock import ManualClock as ManualClock
else:
    __getattr__, __dir__ = exports(__name__, {"clock": ["ManualClock"]})
