"""Every error that scalekit raises on purpose, named by whose fault it is.

    ScalekitError
     ├ ConfigurationError(ValueError)     the developer's: a constructor or parser was given nonsense
     ├ MissingExtra(ImportError)          the deployment's: an optional dependency is not installed
     ├ BackendError                       the infrastructure's: a server or worker failed
     │  ├ BackendTimeout(TimeoutError)       no answer within the deadline
     │  └ BackendUnavailable                 not asked: the circuit breaker is open
     ├ LoadTimeout(TimeoutError)          the loader's: a cached function took longer than its load_timeout
     ├ SerialisationError(TypeError)      a value would not come back from the store as it went in
     ├ RateLimitExceeded                  the caller's quota; only acquire() and the decorator raise it
     ├ InvalidCursor(ValueError)          the client's: forged, foreign or expired cursor   -> HTTP 400
     ├ OffsetTooDeep(ValueError)          the client's: a page beyond max_offset            -> HTTP 400
     ├ ImageRejected(ValueError)          the upload breaks a limit                         -> HTTP 413/415
     ├ ImageBroken(ValueError)            the upload is damaged                             -> HTTP 422
     └ OversubscribedPools                the fleet asks for more than the server has, in words

Expected refusals are values (a rate limiter returns a `Decision`); exceptions are for faults.
All of them survive pickling: they cross process boundaries in workers and test runners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

    from scalekit.ratelimit import Decision

__all__ = [
    "BackendError",
    "BackendTimeout",
    "BackendUnavailable",
    "ConfigurationError",
    "ImageBroken",
    "ImageRejected",
    "InvalidCursor",
    "LoadTimeout",
    "MissingExtra",
    "OffsetTooDeep",
    "OversubscribedPools",
    "RateLimitExceeded",
    "ScalekitError",
    "SerialisationError",
]

_LONGEST_VALUE = 200


def _shown(value: object) -> str:
    """`repr` for an error message: bounded, and never a second error of its own."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # a broken __repr__ must not hide the real complaint
        text = f"<{type(value).__name__} whose repr fails>"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


class _StandIn:
    """What is left of a value that cannot be pickled: its looks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class ScalekitError(Exception):
    """Base of the family: `except ScalekitError` catches whatever scalekit raises on purpose."""


class ConfigurationError(ScalekitError, ValueError):
    """A constructor, decorator or parser was given something that cannot work.

    `expected` reads on from the parameter's name: `ConfigurationError("limit", 0, ">= 1")` says
    "expected limit >= 1; got 0".
    """

    def __init__(self, parameter: str, value: object, expected: str) -> None:
        super().__init__(parameter, value, expected)
        self.parameter = parameter
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"expected {self.parameter} {self.expected}; got {_shown(self.value)}"

    def __reduce__(self) -> tuple[type[Self], tuple[str, object, str], dict[str, Any]]:
        """Pickle a stand-in of the same looks for a value (a client, a lambda) that cannot be pickled."""
        import pickle  # noqa: PLC0415  # costs import time that only an error on its way should pay

        value = self.value
        try:
            pickle.dumps(value)
        except Exception:  # noqa: BLE001  # the value's own methods run here
            value = _StandIn(_shown(value))
        return type(self), (self.parameter, value, self.expected), {**vars(self), "value": value}


class MissingExtra(ScalekitError, ImportError):
    """An optional dependency is not installed; the message is the line that installs it."""

    def __init__(self, needed_by: str, module: str, extra: str) -> None:
        super().__init__(needed_by, module, extra)
        self.needed_by = needed_by
        self.module = module
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.needed_by} needs {self.module}: pip install 'scaleblocks[{self.extra}]'"


class BackendError(ScalekitError):
    """A backend (server, database, worker) failed; `__cause__` is the driver's own error."""

    def __init__(self, backend: str, operation: str, detail: str) -> None:
        # Past OSError, a base of BackendTimeout, which would take them for errno, strerror and filename.
        Exception.__init__(self, backend, operation, detail)
        self.backend = backend
        self.operation = operation
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.backend} {self.operation}: {self.detail}"


class BackendTimeout(BackendError, TimeoutError):
    """The backend gave no answer within the deadline; whether it did the work is unknown."""


class BackendUnavailable(BackendError):
    """The backend was not asked: its circuit breaker is open after repeated failures."""


class LoadTimeout(ScalekitError, TimeoutError):
    """A loader did not return within its `load_timeout`; `key` is what it loads, `timeout` in seconds."""

    def __init__(self, key: str, timeout: float) -> None:
        Exception.__init__(self, key, timeout)  # past OSError, as in BackendError
        self.key = key
        self.timeout = timeout

    def __str__(self) -> str:
        return f"the load of {self.key} did not end within {self.timeout:g} s"


class SerialisationError(ScalekitError, TypeError):
    """A value cannot be stored so that it comes back equal and of the same type."""


class RateLimitExceeded(ScalekitError):
    """A quota is used up; `decision` says which limit, and when to come back."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self.decision = decision

    def __str__(self) -> str:
        return f"rate limit {self.decision.limit} exceeded; retry after {self.decision.retry_after:.3f} s"


class InvalidCursor(ScalekitError, ValueError):
    """A pagination cursor that this paginator did not make for this order and scope, or that has expired.

    `reason` is "expired" for the latter, and otherwise for logs.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"invalid cursor: {self.reason}"


class OffsetTooDeep(ScalekitError, ValueError):
    """A numbered page lies beyond `max_offset`; page through with a cursor instead."""

    def __init__(self, offset: int, max_offset: int) -> None:
        super().__init__(offset, max_offset)
        self.offset = offset
        self.max_offset = max_offset

    def __str__(self) -> str:
        return f"expected offset <= {self.max_offset}; got {_shown(self.offset)}: page with a cursor instead"


class ImageRejected(ScalekitError, ValueError):
    """An image breaks a limit; `reason` is one lower-case word per limit, as in `ImageLimits`."""

    def __init__(self, reason: str, limit: object, actual: object) -> None:
        super().__init__(reason, limit, actual)
        self.reason = reason
        self.limit = limit
        self.actual = actual

    def __str__(self) -> str:
        return f"expected {self.reason} within {_shown(self.limit)}; got {_shown(self.actual)}"


class ImageBroken(ScalekitError, ValueError):
    """An image is of an allowed format but damaged: truncated, corrupt or inconsistent."""


class OversubscribedPools(ScalekitError):
    """The fleet's pools add up to more connections than the server has; the sum is in the text."""
