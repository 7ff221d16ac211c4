"""Listening at links: real servers, and everything that happens to them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from weakref import ref

import fakeredis
import fakeredis.aioredis
import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from scalekit.redis import AsyncRedisLink, RedisLink, _listener, _session
from tests.redis.listening import Heard, Listening
from tests.redis.proxies import CERTIFICATE, Proxy
from tests.servers.lifeline import wait_until


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def prefix(key_prefix):
    return key_prefix.encode()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "scalekit listener"]


def test_it_hears_every_way_in_which_a_name_can_change(kind, redis_server, prefix):
    with Listening(kind, redis_server.url) as listening, redis.Redis.from_url(redis_server.url) as client:
        heard = listening.watch(Heard(prefix + b"e", prefix + b"t"))
        heard.until("begun")
        names = [prefix + b"e:%d" % i for i in range(5)]

        def told(name, times):
            wait_until(
                lambda: sum(name in n for n in heard.log if isinstance(n, list)) >= times, f"{name} is told"
            )

        client.set(names[0], "x")
        told(names[0], 1)
        client.pexpire(names[0], 60_000)
        told(names[0], 2)
        client.unlink(names[0])
        told(names[0], 3)
        client.eval("redis.call('SET', KEYS[1], 'x')", 1, names[1])
        told(names[1], 1)
        client.set(names[2], "x", px=1)
        wait_until(lambda: client.get(names[2]) is None, "it has expired")
        told(names[2], 2)
        with client.pipeline() as pipe:
            pipe.set(names[3], "x").delete(names[3]).execute()
        told(names[3], 1)
        client.set(prefix + b"other", "x")
        client.set(names[4], "x")
        told(names[4], 1)
        assert not any(prefix + b"other" in told for told in heard.log if isinstance(told, list))


def test_it_hears_of_everything_at_once(kind, redis_server, starts_servers):
    with Listening(kind, redis_server.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        redis_server.cmd("FLUSHALL")
        heard.until(None)


def test_what_is_evicted_is_told(kind, own_redis):
    with Listening(kind, own_redis.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.cmd("SET", "sk:e:first", "x" * 100)
        heard.until([b"sk:e:first"])
        own_redis.cmd("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        own_redis.cmd("CONFIG", "SET", "maxmemory", "1mb")
        wait_until(lambda: own_redis.cmd("EXISTS", "sk:e:first") == 0, "it is evicted")
        heard.until([b"sk:e:first"], times=2)


def test_proof_follows_proof_and_costs_one_small_command(kind, own_redis):
    with Listening(kind, own_redis.url) as listening:
        before = time.monotonic()
        heard = listening.watch(Heard(interval=0.01))
        heard.until("begun")
        assert before <= heard.at <= time.monotonic()
        own_redis.cmd("CONFIG", "RESETSTAT")
        heard.until_proven(time.monotonic() + 0.1)
        calls = {
            name: n
            for name, n in own_redis.calls().items()
            if name not in {"config", "info", "config|resetstat"}
        }
        assert set(calls) == {"unlink"}
        assert calls["unlink"] < 15


def test_nothing_runs_before_somebody_listens_and_after_the_link_is_closed(redis_url):
    before = len(threads())
    with RedisLink.from_url(redis_url, timeout="5s") as link:
        assert link.listener is link.listener
        assert len(threads()) == before
        heard = Heard()
        link.listener.watch(heard)
        heard.until("begun")
        assert len(threads()) == before + 1
        link.close()
        assert len(threads()) == before
        assert heard.log == ["begun", "lost"]
        link.listener.watch(heard)  # it may be used again
        heard.until("begun", times=2)
        assert len(threads()) == before + 1
    assert len(threads()) == before


def test_it_ends_with_the_last_who_listens(kind, redis_url, monkeypatch):
    monkeypatch.setattr(_session, "_IDLE_INTERVAL", 0.02)
    before = len(threads())
    with Listening(kind, redis_url) as listening:
        heard = listening.watch()
        heard.until("begun")
        gone = ref(heard)
        del heard

        def over():
            gc.collect()
            listener = listening.listener
            return (listener._thread if kind == "sync" else listener._task) is None

        wait_until(over, "nobody listens any more")
        assert gone() is None
        wait_until(lambda: len(threads()) == before, "its thread, which has let go of it, is over")


def test_a_link_that_is_forgotten_ends_its_thread(redis_url):
    before = len(threads())
    link = RedisLink.from_url(redis_url, timeout="5s")
    heard = Heard()
    link.listener.watch(heard)
    heard.until("begun")
    del link

    def over():
        gc.collect()
        return len(threads()) == before

    wait_until(over, "the thread has ended")
    assert heard.log[-1] == "lost"


def test_bells_ring_across_processes_and_are_armed_before(kind, redis_server):
    with Listening(kind, redis_server.url) as listening, redis.Redis.from_url(redis_server.url) as client:
        rung = []

        def wait():
            with listening.link.listener.bell(b"c") as bell:
                assert bell.armed.wait(10)
                client.publish("c", "x")
                rung.append(bell.rung.wait(10))

        async def async_wait():
            async with listening.link.listener.bell(b"c") as bell:
                await bell.armed.wait()
                await listening.link.execute("PUBLISH", "c", "x")
                rung.append(await bell.rung.wait())

        listening.call(wait if kind == "sync" else async_wait)
        assert rung == [True]
        wait_until(lambda: client.pubsub_numsub("c") == [(b"c", 0)], "it is subscribed to no more")


def test_a_watcher_may_come_while_only_bells_are_heard(kind, redis_server):
    with Listening(kind, redis_server.url) as listening:

        def ring():
            with listening.link.listener.bell(b"c") as bell:
                assert bell.armed.wait(10)

        async def async_ring():
            async with listening.link.listener.bell(b"c") as bell:
                await bell.armed.wait()

        listening.call(ring if kind == "sync" else async_ring)
        listening.watch().until("begun")


# -- trouble ----------------------------------------------------------------------------------------


def test_a_killed_server_is_noticed_at_once_and_found_again(kind, own_redis):
    with Listening(kind, own_redis.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.kill()
        heard.until("lost")
        assert heard.at is None
        wait_until(lambda: listening.listener.error is not None, "the error is kept")
        own_redis.start()
        heard.until("begun", times=2)
        assert heard.log == ["begun", "lost", "begun"]
        own_redis.cmd("SET", "sk:e:1", "x")
        heard.until([b"sk:e:1"])


def test_a_killed_connection_is_noticed_at_once_and_made_again(kind, own_redis):
    with Listening(kind, own_redis.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.cmd("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        heard.until("begun", times=2)
        assert heard.log == ["begun", "lost", "begun"]


def test_a_frozen_server_proves_nothing_and_what_it_says_later_is_not_lost(kind, own_redis, monkeypatch):
    monkeypatch.setattr(_session, "_PATIENCE", 600.0)
    with Listening(kind, own_redis.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.freeze()
        frozen = time.monotonic()
        at = heard.at
        wait_until(lambda: time.monotonic() > frozen + 0.2, "some proofs should have come")
        assert heard.at < frozen + 0.1, "a probe sent to a frozen server proves nothing"
        assert heard.at >= at
        own_redis.thaw()
        heard.until_proven(time.monotonic())
        assert heard.log == ["begun"], "the connection was there all the time"


def test_a_server_frozen_for_long_is_given_up_and_found_again(kind, own_redis, monkeypatch):
    monkeypatch.setattr(_session, "_PATIENCE", 0.2)
    with Listening(kind, own_redis.url, timeout="100ms") as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.freeze()
        heard.until("lost")
        own_redis.thaw()
        heard.until("begun", times=2)
        heard.until_proven(time.monotonic())


class Deaf(Proxy):
    """Passes bytes on until it is told not to; the connections stay open, half of them at least."""

    deaf = False

    def _forward(self, client, server):
        import contextlib

        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if not self.deaf:
                    server.sendall(data)


def test_a_connection_that_is_open_on_one_side_only_is_given_up(kind, own_redis, monkeypatch):
    monkeypatch.setattr(_session, "_PATIENCE", 0.2)
    proxy = Deaf(own_redis.port)
    try:
        with Listening(kind, f"redis://127.0.0.1:{proxy.port}") as listening:
            heard = listening.watch()
            heard.until("begun")
            proxy.deaf = True
            heard.until("lost")
            proxy.deaf = False
            heard.until("begun", times=2)
    finally:
        proxy.close()


def test_while_there_is_no_server_it_tries_ever_less_often(kind, monkeypatch):
    rests = []
    pause_after = _listener.pause_after

    def noted(failures):
        rests.append(failures)
        assert 0.0 < pause_after(failures) <= 1.0
        return 0.001

    monkeypatch.setattr("scalekit.redis._listener.pause_after", noted)
    monkeypatch.setattr("scalekit.redis._async_listener.pause_after", noted)
    with Listening(kind, "redis://127.0.0.1:1") as listening:
        heard = listening.watch()
        wait_until(lambda: len(rests) >= 5, "it tries again")
        assert rests[:5] == [1, 2, 3, 4, 5]
        assert heard.log == []
    assert [pause_after(n) > 0.49 for n in (5, 8, 10**6)] == [True] * 3, "once or twice a second in the end"
    assert pause_after(0) < 0.06


def test_the_child_of_a_fork_listens_for_itself_and_leaves_its_parents_connection_alone(redis_url):
    script = f"""
import os, sys, threading
from scalekit.redis import RedisLink
from tests.redis.listening import Heard
link = RedisLink.from_url({redis_url!r}, timeout="5s")
heard = Heard()
link.listener.watch(heard)
heard.until("begun")
ears = len(link.listener._ears)
child = os.fork()
if child == 0:
    assert heard.log[-1] == "forked", heard.log
    assert link.listener._thread is None and not link.listener._ears
    heard.log.clear()
    link.listener.watch(heard)
    heard.until("begun")
    link.execute("SET", "sk:e:child", "x")
    heard.until([b"sk:e:child"])
    link.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
heard.until([b"sk:e:child"])
assert heard.log.count("begun") == 1 and "lost" not in heard.log, heard.log
link.close()
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=False, timeout=50, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_loop_ends_with_nothing_left_open(redis_url):
    script = f"""
import asyncio, gc, logging
from scalekit.redis import AsyncRedisLink
from tests.redis.listening import Heard
logging.getLogger("asyncio").setLevel("ERROR")  # a busy machine is no news
link = AsyncRedisLink.from_url({redis_url!r}, timeout="5s")
heard = Heard()
async def main(times):
    link.listener.watch(heard)
    while heard.log.count("begun") < times:
        await asyncio.sleep(0.001)
    async with link.listener.bell(b"c") as bell:
        await bell.armed.wait()
asyncio.run(main(1))
assert heard.log == ["begun", "lost"], heard.log
asyncio.run(main(2))
loop = asyncio.new_event_loop()
loop.run_until_complete(main(3))
loop.run_until_complete(link.aclose())
loop.close()
assert heard.log == ["begun", "lost"] * 3, heard.log
del link
gc.collect()
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=False, timeout=50, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_ends_with_a_link_that_listens(redis_url):
    script = f"""
from scalekit.redis import RedisLink
from tests.redis.listening import Heard
link = RedisLink.from_url({redis_url!r}, timeout="5s")
heard = Heard()
link.listener.watch(heard)
heard.until("begun")
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=False, timeout=50, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fake_that_cannot_announce_is_listened_to_in_vain(kind):
    fake = fakeredis.FakeRedis() if kind == "sync" else fakeredis.aioredis.FakeRedis()
    with Listening(kind, fake) as listening:
        heard = listening.watch()
        wait_until(lambda: listening.listener.error is not None, "it has tried")
        assert heard.log in ([], ["lost"])
        assert listening.call(listening.link.execute, "PING")


# -- ways to connect --------------------------------------------------------------------------------


def test_as_the_client_does_with_user_password_and_database(kind, own_redis):
    own_redis.cmd("ACL", "SETUSER", "app", "on", ">geheim", "~sk:*", "&*", "+@all")
    with Listening(kind, f"redis://app:geheim@127.0.0.1:{own_redis.port}/3?protocol=3") as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.cmd("SET", "sk:e:1", "x")
        heard.until([b"sk:e:1"])


def test_without_permission_nothing_is_proven(kind, own_redis):
    own_redis.cmd("ACL", "SETUSER", "app", "on", ">geheim", "~*", "&*", "+@all", "-client|tracking")
    with Listening(kind, f"redis://app:geheim@127.0.0.1:{own_redis.port}") as listening:
        heard = listening.watch()
        wait_until(lambda: "permission" in str(listening.listener.error), "it was refused")
        assert "begun" not in heard.log


def test_over_a_unix_socket(kind, own_redis):
    path = own_redis.directory / "socket"
    own_redis.options = (*own_redis.options, "--unixsocket", str(path))
    own_redis.restart()
    with Listening(kind, f"unix://{path}") as listening:
        listening.watch().until("begun")


def test_over_tls(kind, own_redis):
    proxy = Proxy(own_redis.port, tls=True)
    try:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={CERTIFICATE}"
        with Listening(kind, url) as listening:
            heard = listening.watch()
            heard.until("begun")
            for i in range(300):  # in bursts, of which TLS decrypts more than one read takes
                own_redis.cmd(
                    "MSET", *[word for j in range(50) for word in (f"sk:e:{i}:{j}:{'x' * 100}", "x")]
                )
            heard.until_proven(time.monotonic())
            told = {name for names in heard.log if isinstance(names, list) for name in names}
            assert len(told) == 300 * 50
    finally:
        proxy.close()


@pytest.mark.slow
def test_the_new_master_of_sentinels_is_found(kind, sentinel):
    watched = sentinel()
    module = redis.sentinel if kind == "sync" else redis.asyncio.sentinel
    master = module.Sentinel(watched.addresses).master_for(watched.name)
    with Listening(kind, master) as listening:
        heard = listening.watch()
        heard.until("begun")
        watched.master.kill()
        heard.until("begun", times=2, timeout=30)
        watched.replica.cmd("SET", "sk:e:1", "x")
        heard.until([b"sk:e:1"])


def test_a_master_that_is_demoted_is_left(kind, own_redis):
    with Listening(kind, own_redis.url) as listening:
        heard = listening.watch()
        heard.until("begun")
        own_redis.cmd("REPLICAOF", "127.0.0.1", "1")
        heard.until("lost")
        wait_until(lambda: "read only" in str(listening.listener.error), "that is why")
        own_redis.cmd("REPLICAOF", "NO", "ONE")
        heard.until("begun", times=2)


# -- clusters ---------------------------------------------------------------------------------------


def cluster_client(kind, cluster):
    if kind == "sync":
        return redis.RedisCluster.from_url(cluster.url)
    return redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.masters[0].port)


@pytest.fixture
def in_cluster(kind):
    closing = []

    def listening(cluster):
        client = cluster_client(kind, cluster)
        listening = Listening(kind, client)
        closing.append((client, listening))
        return listening

    yield listening
    for client, listening in closing:
        if kind == "sync":
            client.close()
        else:
            listening.call(client.aclose)
        listening.__exit__()


@pytest.mark.slow
def test_every_master_of_a_cluster_is_heard(in_cluster, redis_cluster):
    listening = in_cluster(redis_cluster)
    heard = listening.watch()
    heard.until("begun")
    for i in range(30):
        redis_cluster.master_of(f"sk:e:{i}").cmd("SET", f"sk:e:{i}", "x")
    for i in range(30):
        heard.until([b"sk:e:%d" % i])


def test_bells_ring_in_a_cluster_wherever_it_is_published(in_cluster, kind, redis_cluster):
    listening = in_cluster(redis_cluster)
    for master in redis_cluster.masters:

        def wait():
            with listening.link.listener.bell(b"c") as bell:
                assert bell.armed.wait(10)
                master.cmd("EVAL", "return redis.pcall('PUBLISH', KEYS[1], '')", 1, key)  # noqa: B023  # called below
                assert bell.rung.wait(10)

        async def async_wait():
            import anyio.to_thread

            async with listening.link.listener.bell(b"c") as bell:
                await bell.armed.wait()
                await anyio.to_thread.run_sync(lambda: master.cmd("PUBLISH", "c", ""))  # noqa: B023
                await bell.rung.wait()

        key = "c"
        if kind == "sync" and redis_cluster.master_of("c") is not master:
            continue
        listening.call(wait if kind == "sync" else async_wait)


@pytest.mark.slow
def test_with_one_master_down_nothing_is_proven_until_it_is_back(in_cluster, redis_cluster):
    listening = in_cluster(redis_cluster)
    heard = listening.watch()
    heard.until("begun")
    redis_cluster.masters[2].kill()
    heard.until("lost")
    wait_until(lambda: b"fail" in redis_cluster.nodes[0].cmd("CLUSTER", "NODES"), "it is missed", timeout=30)
    assert heard.log.count("begun") == 1
    redis_cluster.masters[2].start()
    heard.until("begun", times=2, timeout=30)


@pytest.mark.slow
def test_a_failover_is_noticed_though_no_connection_breaks(in_cluster, new_cluster):
    cluster = new_cluster(masters=3, replicas=1)
    listening = in_cluster(cluster)
    heard = listening.watch()
    heard.until("begun")
    cluster.replicas[0].cmd("CLUSTER", "FAILOVER")
    heard.until("lost", timeout=30)
    heard.until("begun", times=2, timeout=30)
    wait_until(lambda: b"role:master" in cluster.replicas[0].cmd("INFO", "replication"), "it is the master")
    key = next(f"sk:e:{i}" for i in range(1_000) if cluster.master_of(f"sk:e:{i}") is cluster.masters[0])
    cluster.replicas[0].cmd("SET", key, "x")
    heard.until([key.encode()])


@pytest.mark.slow
def test_a_node_that_joins_is_heard_before_it_gets_slots(in_cluster, new_cluster):
    cluster = new_cluster(masters=3)
    listening = in_cluster(cluster)
    heard = listening.watch()
    heard.until("begun")
    from tests.servers.redis import RedisServer

    node = RedisServer(cluster.nodes[0].binary, *cluster.nodes[0].options)
    try:
        node.start()
        node.cmd("CLUSTER", "MEET", "127.0.0.1", cluster.nodes[0].port)
        heard.until("lost", timeout=30)
        wait_until(
            lambda: heard.at is not None and len(listening.listener._ears) == 4, "four are heard", timeout=30
        )
        # A slot on its way: what it has got already, the new node serves to those who were told to ask it.
        slot = cluster.nodes[0].cmd("CLUSTER", "KEYSLOT", "sk:e:1")
        owner = cluster.master_of("sk:e:1")
        node.cmd("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.cmd("CLUSTER", "MYID"))
        owner.cmd("CLUSTER", "SETSLOT", slot, "MIGRATING", node.cmd("CLUSTER", "MYID"))
        with redis.Redis(port=node.port) as asking, asking.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command("SET", "sk:e:1", "x")
            pipe.execute()
        heard.until([b"sk:e:1"])
    finally:
        node.close()


def test_it_ends_with_its_loop_however_far_it_has_come(redis_server):
    """On Python 3.11 a connection that came about swallowed the cancellation, and the loop never closed."""
    for steps in range(12):
        with asyncio.Runner() as runner:
            link = AsyncRedisLink.from_url(redis_server.url, timeout="5s")

            async def begin(link=link, steps=steps):
                link.listener.watch(Heard())
                for _ in range(steps):
                    await asyncio.sleep(0)

            runner.run(begin())
