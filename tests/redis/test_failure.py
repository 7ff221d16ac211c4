"""Which error means what, whatever class the parser gave it."""

from __future__ import annotations

import pytest
import redis

from scalekit.errors import BackendError
from scalekit.redis._failure import is_demotion, is_failure, is_reply, is_unstable, not_served


@pytest.mark.parametrize(
    ("error", "reply", "failure"),
    [
        (redis.ResponseError("ERR no"), True, True),
        (redis.ResponseError("CLUSTERDOWN The cluster is down"), False, True),
        (redis.exceptions.ClusterDownError("The cluster is down"), False, True),
        (not_served(), False, True),
        (redis.exceptions.BusyLoadingError("loading"), False, True),
        (redis.exceptions.ReadOnlyError("read only"), True, True),
        (redis.DataError("not this"), False, False),
        (TimeoutError(), False, True),
        (ValueError(), False, False),
    ],
    ids=repr,
)
def test_whose_fault_an_error_is(error, reply, failure):
    assert (is_reply(error), is_failure(error)) == (reply, failure)


def test_a_replica_that_was_a_master():
    assert is_demotion(redis.exceptions.ReadOnlyError("You can't write against a read only replica."))
    assert not is_demotion(redis.ResponseError("ERR no"))


@pytest.mark.parametrize(
    ("reply", "unstable"),
    [
        (redis.ResponseError("TRYAGAIN Multiple keys request during rehashing of slot"), True),
        (redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"), True),
        (redis.ResponseError("ERR TRYAGAIN"), False),
        (None, False),
    ],
)
def test_keys_on_two_nodes(reply, unstable):
    error = BackendError("redis", "UNLINK", "refused")
    error.__cause__ = reply
    assert is_unstable(error) is unstable
