"""Links to a Redis Cluster: a dead or hung shard fails alone, and its successor is found."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.redis import AsyncRedisLink, RedisLink, _own
from scalekit.redis._connections import Connections
from scalekit.redis._packed import Packed
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until

DEADLINE = 0.05
SLACK = 0.02


class Sync:
    """What the tests do, over either link."""

    def __init__(self, cluster, *, client=None, **options):
        self.client = client or redis.RedisCluster.from_url(cluster.url)  # which ends in "/0"
        self.link = RedisLink(self.client, **options)

    def __call__(self, *command):
        return self.link.execute(*command)

    def pipeline(self, commands):
        return self.link.pipeline(commands)

    def close(self):
        self.link.close()
        self.client.close()


class Async:
    def __init__(self, cluster, *, client=None, **options):
        self.driver = Driver()
        self.client = client or redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.masters[0].port)
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
    with opened(kind, redis_cluster, timeout="10s") as call:
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_successor_of_a_hung_master_is_found(new_cluster):
    cluster = new_cluster(masters=3, replicas=1)
    quick = {"breaker_reset": "100ms", "timeout": "300ms"}
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
    with opened(Async, redis_cluster, timeout="10s") as call:
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


# -- the scatter --------------------------------------------------------------------------------------

KEYS = [f"key {i}" for i in range(12)]


def test_every_node_is_sent_its_commands_before_a_reply_is_read(redis_cluster, monkeypatch):
    done = []
    send, receive = Connections.send, Connections.receive
    with opened(Sync, redis_cluster, timeout="10s") as call:
        call.pipeline([("SET", key, "1") for key in KEYS])
        monkeypatch.setattr(Connections, "send", lambda *a: done.append("send") or send(*a))
        monkeypatch.setattr(Connections, "receive", lambda *a: done.append("receive") or receive(*a))
        assert call.pipeline([("GET", key) for key in KEYS]) == [b"1"] * 12
    assert done == ["send"] * 3 + ["receive"] * 3


def test_what_other_nodes_answer_is_done_and_read_when_one_hangs(redis_cluster, kind):
    with opened(kind, redis_cluster, timeout="300ms", breaker_failures=10**6) as call:
        wait_until(lambda: not isinstance(outcome_of(call, KEYS), Exception), "it is connected to all")
        victim = redis_cluster.master_of(KEYS[0])
        victim.freeze()
        with pytest.raises(BackendTimeout):
            call.pipeline([("SET", key, "2") for key in KEYS])
        for key in KEYS:
            master = redis_cluster.master_of(key)
            assert master is victim or master.cmd("GET", key) == b"2"
        victim.thaw()


def outcome_of(call, keys):
    return timed(call.pipeline, [("SET", key, "1") for key in keys])[1]


@pytest.mark.slow
def test_a_cluster_that_serves_nothing_says_so_within_the_deadline(redis_cluster, kind):
    """redis-py pauses for a quarter of a second on CLUSTERDOWN, whatever time-outs it was given."""
    for node in redis_cluster.nodes:
        node.cmd("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    try:
        with opened(kind, redis_cluster, timeout="100ms", breaker_failures=10**6) as call:
            wait_until(lambda: not isinstance(outcome_of(call, KEYS), Exception), "it is connected to all")
            redis_cluster.masters[2].kill()
            alive = [key for key in KEYS if redis_cluster.master_of(key) is not redis_cluster.masters[2]]
            wait_until(lambda: "CLUSTERDOWN" in str(timed(call, "GET", alive[0])[1]).upper(), "it is down")
            measured = [timed(call, "GET", alive[0]) for _ in range(5)]
            assert all("down" in str(outcome) for _, outcome in measured)
            assert min(seconds for seconds, _ in measured) < 0.1 + SLACK
    finally:
        redis_cluster.masters[2].restore()
        for node in redis_cluster.nodes:
            node.cmd("CONFIG", "SET", "cluster-require-full-coverage", "no")


def test_a_slot_that_moved_is_followed_once_and_then_known(redis_cluster, kind):
    with opened(kind, redis_cluster, timeout="10s") as call:
        call("SET", "a", "1")
        source = redis_cluster.master_of("a")
        move = redis_cluster.move_of("a")
        move.begin()
        assert call("GET", "a") == b"1"
        move.take(b"a")
        assert call("GET", "a") == b"1"  # by way of ASK
        assert call("INCR", "a") == 2
        move.end()
        assert call("GET", "a") == b"2"  # by way of MOVED
        source.cmd("CONFIG", "RESETSTAT")
        assert call.pipeline([("GET", "a"), ("GET", "a")]) == [b"2", b"2"]
        assert "get" not in source.calls()
        move.undo()
        assert call("GET", "a") == b"2"
        call("DEL", "a")


def test_packed_commands_find_their_nodes(redis_cluster, kind):
    with opened(kind, redis_cluster, timeout="10s") as call:
        wire = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1\r\n1\r\n"
        names = [key.encode() for key in KEYS]
        commands = [Packed("SET", name, wire % (len(name), name)) for name in names]
        replies = call.pipeline([*commands, *[("GET", key) for key in KEYS], ("PING",)])
        assert replies == [b"OK"] * 12 + [b"1"] * 12 + [True]


def test_few_connections_for_many_threads(redis_cluster):
    """Each holds one to every node at once: they take them in one order, or would wait for each other."""
    client = redis.RedisCluster.from_url(redis_cluster.url, max_connections=1)
    with opened(Sync, redis_cluster, client=client, timeout="10s") as call, ThreadPoolExecutor(8) as pool:
        rounds = [[("INCR", key) for key in (KEYS if i % 2 else KEYS[::-1])] for i in range(60)]
        list(pool.map(call.pipeline, rounds))
        assert call.pipeline([("GET", key) for key in KEYS]) == [b"60"] * 12


def connections(cluster):
    """Of every node, those that redis-py has made."""
    lines = [(node.port, line) for node in cluster.nodes for line in node.cmd("CLIENT", "LIST").splitlines()]
    return {(port, line.split()[0]) for port, line in lines if b"lib-name=redis-py" in line}


def test_closing_closes_the_connections_to_every_node(redis_cluster, kind):
    with opened(kind, redis_cluster, timeout="10s") as call:
        before = connections(redis_cluster)  # those of other tests, which may be about to end
        call.pipeline([*[("SET", key, "1") for key in KEYS], ("PING",)])
        made = connections(redis_cluster) - before
        assert len(made) >= 3
        call.driver(call.link.aclose) if kind is Async else call.link.close()
        wait_until(lambda: not made & connections(redis_cluster), "they are gone")
        assert call("GET", KEYS[0]) == b"1"


def test_the_nodes_connections_are_like_the_clients():
    client = redis.asyncio.RedisCluster(
        "localhost", ssl=True, username="u", password="p", max_connections=7, client_name="n"
    )
    node = _own.cluster_node(client, "10.0.0.9", 9, asynchronous=True).connection_pool
    assert issubclass(node.connection_class, redis.asyncio.SSLConnection)
    assert (node.connection_kwargs["host"], node.connection_kwargs["port"]) == ("10.0.0.9", 9)
    given = {name: node.connection_kwargs[name] for name in ("username", "password", "client_name")}
    assert given == {"username": "u", "password": "p", "client_name": "n"}
    assert node.max_connections == 7


def test_the_clients_name_and_address_map_are_kept(redis_cluster):
    seen = []

    def mapped(address):
        seen.append(address)
        return ("localhost", address[1])

    client = redis.RedisCluster.from_url(redis_cluster.url, client_name="mine", address_remap=mapped)
    with opened(Sync, redis_cluster, client=client, timeout="10s") as call:
        seen.clear()
        assert call.pipeline([("SET", key, "1") for key in KEYS]) == [True] * 12
        assert len(set(seen)) == 3
        assert all(b"name=mine" in node.cmd("CLIENT", "LIST") for node in redis_cluster.nodes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_uses_connections_of_its_own(redis_cluster):
    script = f"""
import os
import redis
from scalekit.redis import RedisLink
client = redis.RedisCluster.from_url({redis_cluster.url!r})
link = RedisLink(client, timeout="5s")
script = "return redis.call('GET', KEYS[1])"
keys = [f"key {{i}}" for i in range(12)]
link.pipeline([("SET", key, key) for key in keys])
def ports():
    return {{c.link_socket.getsockname()[1] for n in link._transport._nodes.values() for c in n._idle}}
mine = ports()
child = os.fork()
if child == 0:
    right = link.pipeline([("GET", key) for key in keys]) == [key.encode() for key in keys]
    os._exit(0 if right and not ports() & mine else 1)
assert os.waitpid(child, 0)[1] == 0, "the child spoke on its parent's sockets"
assert link.pipeline([("GET", key) for key in keys]) == [key.encode() for key in keys]
assert ports() == mine
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
