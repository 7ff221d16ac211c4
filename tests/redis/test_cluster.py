"""Links to a Redis Cluster: a dead or hung shard fails alone, and its successor is found."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until

DEADLINE = 0.05
SLACK = 0.02


class Sync:
    """What the tests do, over either link."""

    def __init__(self, cluster, **options):
        self.client = redis.RedisCluster.from_url(cluster.url)  # which ends in "/0"
        self.link = RedisLink(self.client, **options)

    def __call__(self, *command):
        return self.link.execute(*command)

    def pipeline(self, commands):
        return self.link.pipeline(commands)

    def close(self):
        self.link.close()
        self.client.close()


class Async:
    def __init__(self, cluster, **options):
        self.driver = Driver()
        self.client = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.masters[0].port)
        self.link = AsyncRedisLink(self.client, **options)

    def __call__(self, *command):
        return self.driver(self.link.execute, *command)

    def pipeline(self, commands):
        return self.driver(self.link.pipeline, commands)

    def close(self):
        self.driver(self.link.aclose)
        self.driver(self.client.aclose)
        self.driver.__exit__(None, None, None)


@contextmanager
def opened(kind, cluster, **options):
    each = kind(cluster, **options)
    try:
        yield each
    finally:
        each.close()


def timed(call, *command):
    began = time.perf_counter()
    try:
        outcome = call(*command)
    except BackendError as error:
        outcome = error
    return time.perf_counter() - began, outcome


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def kind(request):
    return request.param


def test_commands_find_their_shards(redis_cluster, kind):
    with opened(kind, redis_cluster, timeout="2s") as call:
        assert call.link.cluster
        assert call.pipeline([("SET", f"key {i}", i) for i in range(30)]) == [True] * 30
        assert call.pipeline([("GET", f"key {i}") for i in range(30)]) == [b"%d" % i for i in range(30)]
        assert call("PING") is True
        assert call("EVAL", "return redis.call('GET', KEYS[1])", 1, "key 7") == b"7"
        with pytest.raises(ConfigurationError, match=r"same key slot|same slot"):
            call("MGET", "key 1", "key 2")
        with pytest.raises(BackendError, match="wrong kind"):
            call("LPUSH", "key 1", "x")
        assert call.link.state == "closed"


@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_a_shard_that_is_down_fails_alone(redis_cluster, kind, harm):
    keys = [f"key {i}" for i in range(12)]
    with opened(kind, redis_cluster, breaker_failures=1_000) as call:
        victim = redis_cluster.master_of(keys[0])
        alive = next(key for key in keys if redis_cluster.master_of(key) is not victim)
        wait_until(lambda: timed(call, "SET", alive, "1")[1] is True, "the link knows the slots")
        wait_until(lambda: timed(call, "SET", keys[0], "1")[1] is True, "the link knows the slots")
        getattr(victim, harm)()
        dead = [timed(call, "GET", keys[0]) for _ in range(3)]
        assert all(isinstance(outcome, BackendError) for _, outcome in dead)
        assert not any(isinstance(outcome, BackendUnavailable) for _, outcome in dead)
        if harm == "freeze":
            assert all(isinstance(outcome, BackendTimeout) for _, outcome in dead)
        assert min(seconds for seconds, _ in dead) <= DEADLINE + SLACK
        # Each call asks the survivors for the slots anew, hence more than one try on a busy machine.
        wait_until(lambda: timed(call, "GET", alive)[1] == b"1", "the others go on", timeout=3)
        redis_cluster.restore()
        wait_until(lambda: timed(call, "SET", keys[0], "2")[1] is True, "the shard serves again")


def test_the_successor_of_a_hung_master_is_found(new_cluster):
    cluster = new_cluster(masters=3, replicas=1)
    quick = {"breaker_reset": "100ms"}
    with opened(Sync, cluster, **quick) as sync, opened(Async, cluster, **quick) as asyncio_:
        for call in (sync, asyncio_):
            wait_until(lambda call=call: timed(call, "SET", "a", "1")[1] is True, "the link knows the slots")
        cluster.master_of("a").freeze()
        assert isinstance(timed(sync, "GET", "a")[1], BackendTimeout)
        assert isinstance(timed(asyncio_, "GET", "a")[1], BackendTimeout)
        for call in (sync, asyncio_):
            wait_until(lambda call=call: timed(call, "GET", "a")[1] == b"1", "the replica has taken over")
            assert call.link.state == "closed"


def test_a_cluster_that_is_gone_is_an_error_within_the_deadline(redis_cluster, kind):
    cluster, clock = redis_cluster, ManualClock()
    with opened(kind, cluster, clock=clock) as call:
        wait_until(lambda: timed(call, "SET", "a", "1")[1] is True, "the link knows the slots")
        for node in cluster.nodes:
            node.freeze()
        measured = [timed(call, "GET", "a") for _ in range(3)]
        assert all(isinstance(outcome, BackendTimeout) for _, outcome in measured)
        assert min(seconds for seconds, _ in measured) <= DEADLINE + SLACK
        refused = [timed(call, "GET", "a") for _ in range(20)]
        assert all(isinstance(outcome, BackendUnavailable) for _, outcome in refused)
        for node in cluster.nodes:
            node.thaw()

        def serves():
            clock.advance(
                "1s"
            )  # the breaker's clock alone: what is refused above is refused however slow we are
            return timed(call, "GET", "a")[1] == b"1"

        wait_until(serves, "it serves again")


async def _gather(link, commands):
    return await asyncio.gather(*(link.execute(*command) for command in commands), return_exceptions=True)


def test_commands_of_one_tick_fail_each_for_itself(redis_cluster):
    with opened(Async, redis_cluster, timeout="2s") as call:
        call("SET", "a", "1")
        outcomes = call.driver(
            _gather, call.link, [("GET", "a"), ("MGET", "a", "b"), ("NOSUCH", "a"), ("PING",), ("GET", "a")]
        )
    assert [o if not isinstance(o, Exception) else type(o) for o in outcomes] == [
        b"1",
        ConfigurationError,
        BackendError,
        True,
        b"1",
    ]
