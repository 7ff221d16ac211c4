"""What the Redis stores do when their server fails, each in its own way: an error, never a stale answer."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import redis

from scalekit.cache import Entry, Snapshot, _frame
from scalekit.cache._frame import tag_name
from scalekit.cache.redis import RedisCacheStore
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable
from scalekit.redis import RedisLink
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver
from tests.cache.redis_calls import NOW, SLOT, opened
from tests.redis.proxies import always_answering
from tests.servers.lifeline import wait_until


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def calls(kind, own_redis):
    with Driver() as driver:
        calls = opened(driver, kind, own_redis.url)
        yield calls
        calls.close()


def every_call(snapshot):
    return [
        ("read", SLOT, NOW),
        ("read_many", [SLOT, place("shop:other")], NOW),
        ("begin", SLOT, NOW, True),
        ("begin_many", [SLOT, place("shop:other")], NOW, True),
        ("write", SLOT, Entry(1, expires=NOW + 9), snapshot, NOW),
        ("write", SLOT, Entry(1, expires=NOW + 9), None, NOW),
        ("write_many", [(SLOT, Entry(1, expires=NOW + 9), snapshot)], NOW),
        ("delete", [SLOT.key]),
        ("invalidate", [*SLOT.tags]),
    ]


@pytest.mark.slow
def test_a_frozen_server_is_a_timeout_whatever_is_asked(kind, own_redis):
    with Driver() as driver:
        calls = opened(driver, kind, own_redis.url, timeout="100ms", breaker_failures=100)
        wait_until(lambda: calls.link.state == "closed" and answers(calls.put, "value"), "it is connected")
        snapshot = calls.begin(SLOT, NOW, True)
        own_redis.freeze()
        for method, *args in every_call(snapshot):
            with pytest.raises(BackendTimeout, match="no answer within 100 ms"):
                getattr(calls, method)(*args)
        own_redis.thaw()
        calls.close()


def answers(call, *args):
    try:
        return call(*args)
    except BackendError:
        return False


def test_a_full_server_keeps_what_it_has_and_says_that_it_keeps_no_more(calls, own_redis):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, False)
    own_redis.cmd("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(BackendError, match=r"OOM|OutOfMemory"):
        calls.put("new", snapshot=snapshot)
    with pytest.raises(BackendError, match=r"OOM|OutOfMemory"):
        calls.write_many([(SLOT, Entry("new", expires=NOW + 9), snapshot)], NOW)
    assert calls.value() == "old"
    calls.invalidate(["shop:t"])
    with pytest.raises(BackendError, match=r"OOM|OutOfMemory"):
        calls.read(SLOT, NOW)  # a miss, and there is no room for the token that the load would need
    own_redis.cmd("CONFIG", "SET", "maxmemory", 0)
    assert calls.put("new", snapshot=calls.missed())
    assert calls.value() == "new"
    assert calls.link.state == "closed", "a server that refuses is alive"


def test_a_master_that_became_a_replica_refuses_and_is_looked_up_anew(calls, own_redis):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, False)
    mine = calls.driver(calls.link.execute, "CLIENT", "ID")
    own_redis.cmd("REPLICAOF", "127.0.0.1", 1)
    for method, *args in [
        ("write", SLOT, Entry("stale", expires=NOW + 9), snapshot, NOW),
        ("begin", SLOT, NOW, True),
        ("begin_many", [SLOT, place("shop:other")], NOW, True),
        ("delete", [SLOT.key]),
        ("invalidate", [*SLOT.tags]),
    ]:
        with pytest.raises(BackendError, match=r"(?i)read.?only"):
            getattr(calls, method)(*args)
    assert calls.driver(calls.link.execute, "CLIENT", "ID") != mine, "its address may lead elsewhere by now"
    own_redis.cmd("REPLICAOF", "NO", "ONE")
    assert calls.put("new", snapshot=calls.begin(SLOT, NOW, False))
    assert calls.value() == "new"
    assert calls.link.state == "closed"


def test_a_server_that_still_loads_its_data_is_down(kind):
    reply = b"-LOADING Redis is loading the dataset in memory\r\n"
    with always_answering(reply) as port, Driver() as driver:
        calls = opened(driver, kind, f"redis://127.0.0.1:{port}/0")
        for method, *args in every_call(Snapshot((b"12345678",) * 3))[:3]:
            with pytest.raises(BackendError, match=r"(?i)loading"):
                getattr(calls, method)(*args)
        with pytest.raises(BackendUnavailable):
            calls.invalidate([*SLOT.tags])
        calls.close()


def test_a_script_that_the_server_forgot_is_sent_again(calls):
    calls.put(1)
    calls.client.script_flush()
    assert calls.took("write", SLOT, Entry(2, expires=NOW + 9), None, NOW) == [["EVALSHA"], ["EVAL"]]
    calls.client.script_flush()
    writes = [(SLOT, Entry(3, expires=NOW + 9), calls.begin(SLOT, NOW, False))] * 2
    assert calls.took("write_many", writes, NOW) == [["EVALSHA"] * 2, ["EVAL"] * 2]
    assert calls.value() == 3


def test_a_restarted_server_has_nothing_and_tells_nothing_stale(calls, own_redis):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, False)
    own_redis.restart()
    calls.missed()
    assert not calls.put("stale", snapshot=snapshot)
    calls.missed()


def test_an_error_of_the_server_is_not_disguised(calls):
    calls.client.rpush(tag_name("shop:t"), "a list")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        calls.put("value")


# -- races --------------------------------------------------------------------------------------------

UPDATER = """
import sys
import time
import redis
from scalekit.cache import _frame
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink
_, url, prefix, rounds, cluster = sys.argv
_frame.PREFIX = prefix
deadline = time.monotonic() + 40
client = (redis.RedisCluster if cluster == "True" else redis.Redis).from_url(url)
with client, RedisLink(client, timeout="5s") as link:
    store = RedisCacheStore(link)
    for i in range(int(rounds)):
        version = client.incr(prefix + "source")
        match i % 4:
            case 0: store.delete(["shop:k"])
            case 1: client.delete(_frame.tag_name("shop:t"))
            case _: store.invalidate(["shop:t" if i % 4 == 2 else "shop:"])
        client.set(prefix + "committed", version)
        while i % 3 == 0 and int(client.get(prefix + "served") or 0) < version:
            assert time.monotonic() < deadline, "nobody reads"
    client.set(prefix + "done", 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches", [False, True], ids=["one by one", "batches"])
@pytest.mark.parametrize("server", ["redis_url", "redis_cluster"])
def test_two_processes_race_and_nothing_stale_is_served(request, key_prefix, monkeypatch, server, batches):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    found = request.getfixturevalue(server)
    cluster = server == "redis_cluster"
    url = found.url if cluster else found
    make_client = (redis.RedisCluster if cluster else redis.Redis).from_url
    stale, hits, errors = [], [], []

    def reader():
        try:
            with make_client(url) as client, RedisLink(client, timeout="5s") as link:
                store = RedisCacheStore(link)
                while not client.exists(key_prefix + "done"):
                    oldest = int(client.get(key_prefix + "committed") or 0)
                    found = store.read_many([SLOT], NOW)[0] if batches else store.read(SLOT, NOW)
                    if isinstance(found, Entry):
                        hits.append(found.value)
                        client.set(key_prefix + "served", found.value)
                        if found.value < oldest:
                            stale.append((found.value, oldest))
                    else:
                        value = int(client.get(key_prefix + "source") or 0)
                        client.get(key_prefix + "committed")  # takes its time
                        entry = Entry(value, expires=NOW + 60)
                        if batches:
                            store.write_many([(SLOT, entry, found)], NOW)
                        else:
                            store.write(SLOT, entry, found, NOW)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    updater = [sys.executable, "-c", UPDATER, url, key_prefix, "120", str(cluster)]
    try:
        subprocess.run(updater, check=True, timeout=45)
    finally:
        with make_client(url) as client:
            client.set(key_prefix + "done", 1)
        for thread in threads:
            thread.join()
    assert not errors
    assert not stale, f"(served, committed before): {stale[:5]}"
    assert len(set(hits)) > 10, "the race never happened"
