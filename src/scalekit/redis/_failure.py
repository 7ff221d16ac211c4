"""Which redis-py error means what: whose fault it is, and whether it speaks against the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKEND = "redis"


class Crowded(Exception):  # noqa: N818  # an outcome between two modules, not a fault that users see
    """No connection became free within the deadline: no statement about the server."""


def operation(commands: Sequence[Sequence[Any]]) -> str:
    """Return what to call `commands` in an error: the command's name, or how many there were."""
    if len(commands) != 1 or not commands[0]:
        return f"pipeline of {len(commands)}"
    name = commands[0][0]
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def is_reply(error: BaseException) -> bool:
    """Tell whether the server sent `error` as its reply: a fault of the command, and a sign of life.

    CLUSTERDOWN is an answer, too, but it says that the cluster cannot serve.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, errors.ResponseError) and not isinstance(error, errors.ClusterDownError)


def is_rejected(error: BaseException) -> bool:
    """Tell whether redis-py refused to send the command, as it does for an argument it cannot encode.

    On a cluster such refusals share a class with failed look-ups of the slots; only those have a cause.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    if isinstance(error, errors.RedisClusterException):
        return error.__cause__ is None and not isinstance(error, errors.SlotNotCoveredError)
    return isinstance(error, errors.DataError)


def is_failure(error: BaseException) -> bool:
    """Tell whether `error` came from the network or the server, and not from the caller or a bug."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, (errors.RedisError, errors.RedisClusterException, OSError)) and not is_rejected(error)


def is_timeout(error: BaseException) -> bool:
    """Tell whether `error` is a time-out of the network, by whatever name."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, (errors.TimeoutError, TimeoutError))


def timed_out(what: str, timeout: float) -> BackendTimeout:
    """Return the error for a command that got no answer in time."""
    return BackendTimeout(BACKEND, what, f"no answer within {timeout * 1000:g} ms")


def crowded_out(what: str, timeout: float) -> BackendTimeout:
    """Return the error for a command that no connection was free for in time."""
    return BackendTimeout(BACKEND, what, f"no connection free within {timeout * 1000:g} ms")


def refused(what: str, retry_in: float) -> BackendUnavailable:
    """Return the error for a command that the open breaker kept back."""
    return BackendUnavailable(
        BACKEND, what, f"not asked, the circuit breaker is open; next probe in {retry_in:.3f} s"
    )


def failed(what: str, error: BaseException) -> BackendError:
    """Return the error for a command that failed on the way, at the server, or before it was sent."""
    return BackendError(BACKEND, what, f"{type(error).__name__}: {error}")
