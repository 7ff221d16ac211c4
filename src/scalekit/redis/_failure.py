"""Which redis-py error means what: whose fault it is, and whether it speaks against the server."""

from __future__ import annotations

from scalekit._extras import require


class Closed(Exception):
    """The link was closed under the call: no statement about the server."""


class Crowded(Exception):  # an outcome between two modules, not a fault that users see
    """No connection became free within the deadline: no statement about the server."""


def is_reply(error: BaseException) -> bool:
    """Tell whether the server sent `error` as its reply: a fault of the command, and a sign of life.

    CLUSTERDOWN is an answer, too, but it says that the cluster cannot serve.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    if not isinstance(error, errors.ResponseError) or isinstance(error, errors.ClusterDownError):
        return False
    return not str(error).startswith("CLUSTERDOWN ")  # as parsers that are not told of clusters leave it


def is_rejected(error: BaseException) -> bool:
    """Tell whether the command could not be sent, as one with an argument that cannot be encoded.

    On a cluster such refusals share a class with failed look-ups of the slots; only those have a cause.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    if isinstance(error, errors.RedisClusterException):
        return error.__cause__ is None and not isinstance(error, errors.SlotNotCoveredError)
    return isinstance(error, (errors.DataError, UnicodeEncodeError))


def is_failure(error: BaseException) -> bool:
    """Tell whether `error` came from the network or the server, and not from the caller or a bug."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    # UnicodeError: what name resolution raises for a host that is no name.
    ours = (errors.RedisError, errors.RedisClusterException, OSError, UnicodeError)
    return isinstance(error, ours) and not is_rejected(error)


def is_timeout(error: BaseException) -> bool:
    """Tell whether `error` is a time-out of the network, by whatever name."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, (errors.TimeoutError, TimeoutError))


def is_unknown_script(error: BaseException) -> bool:
    """Tell whether `error`, as a link raises it, says that the server has not seen the script (NOSCRIPT).

    It forgets all when it restarts, and when it is told to; nothing was run, so EVAL may follow.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error.__cause__, errors.NoScriptError)


def not_served() -> Exception:
    """Return the error of a command whose slot no node of the cluster serves."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    error: Exception = errors.ClusterDownError("no node serves the slot")
    return error


def is_demotion(error: BaseException) -> bool:
    """Tell whether `error` is the reply of a server that was a master and is a replica now (READONLY)."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    return isinstance(error, errors.ReadOnlyError)


def is_unstable(error: BaseException) -> bool:
    """Tell whether `error`, as a link raises it, says that a command's keys lie on two nodes (TRYAGAIN).

    So they do while their slot moves from one to the other. Nothing was run.
    """
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    reply = error.__cause__
    return isinstance(reply, errors.TryAgainError) or str(reply).startswith("TRYAGAIN ")
