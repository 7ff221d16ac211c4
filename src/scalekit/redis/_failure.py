"""Which redis-py error means what: whose fault it is, and whether it speaks against the server."""

from __future__ import annotations

from scalekit._extras import require


class Crowded(Exception):  # an outcome between two modules, not a fault that users see
    """No connection became free within the deadline: no statement about the server."""


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
    ours = (errors.RedisError, errors.RedisClusterException, OSError)
    return isinstance(error, ours) and not is_rejected(error)


def is_timeout(error: BaseException) -> bool:
    """Tell whether `error` is a time-out of the network, by whatever name."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, (errors.TimeoutError, TimeoutError))
