"""Leases at links: who is woken and by what, and what happens without."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError
from scalekit.redis import _async_leases, _leases
from scalekit.redis._leases import Leases, async_leases_of
from tests.redis.listening import Listening
from tests.servers.lifeline import wait_until


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def name(key_prefix):
    return key_prefix.encode() + b"lease"


class Owner:
    """Leases of a kind, and what they asked the server."""

    def __init__(self, kind, given, **options):
        self.listening = Listening(kind, given, **options)
        self.link, self.call = self.listening.link, self.listening.call
        self.leases = (Leases if kind == "sync" else async_leases_of)(self.link)
        self.asked = []
        pipeline = self.link.pipeline

        def noted(commands):
            self.asked += [command[0] for command in commands]
            return pipeline(commands)

        self.link.pipeline = noted

    def __getattr__(self, method):
        return lambda *args: self.call(getattr(self.leases, method), *args)

    def waiting(self, name, seconds=600.0):
        """Start to wait in a thread; returns the thread and what came of it."""
        ended = []

        def wait():
            try:
                self.wait(name, seconds)
                ended.append(None)
            except Exception as error:
                ended.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread, ended

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.__exit__()


@pytest.fixture
def never_polled(monkeypatch):
    """Whoever is woken is woken by a message."""
    for module in (_leases, _async_leases):
        monkeypatch.setattr(module, "pauses", lambda: itertools.repeat(600.0))


def subscribers(client, name):
    return client.pubsub_numsub(name)[0][1]


def test_many_in_many_processes_are_woken_by_one_message(kind, redis_server, name, never_polled):
    with (
        Owner(kind, redis_server.url) as one,
        Owner(kind, redis_server.url) as two,
        Owner("sync", redis_server.url) as owner,
        redis.Redis.from_url(redis_server.url) as client,
    ):
        assert owner.acquire(name, b"owner", 600.0)
        waiters = [each.waiting(name) for each in (one, one, two)]
        wait_until(lambda: subscribers(client, name) == 2, "both are subscribed")
        wait_until(lambda: one.asked.count("PTTL") == 2, "they have looked once more after that")
        assert not any(ended for _, ended in waiters)
        owner.release(name, b"another")
        owner.release(name, b"owner")
        for thread, ended in waiters:
            thread.join(20)
            assert ended == [None]
        assert one.asked.count("PTTL") == 2, "and have not asked again and again"
        wait_until(lambda: subscribers(client, name) == 0, "nobody is subscribed any more")


def test_a_lease_given_back_before_the_subscription_is_not_waited_for(kind, redis_server, name, never_polled):
    with Owner(kind, redis_server.url) as owner:
        owner.wait(name, 600.0)
        assert owner.asked == ["PTTL"]
        owner.wait(name, 0.0)
        assert owner.asked == ["PTTL"], "no time, no question"


def test_who_waits_for_a_dead_owner_wakes_when_the_lease_ends(kind, redis_server, name, never_polled):
    with Owner(kind, redis_server.url) as owner:
        assert owner.acquire(name, b"dead", 0.1)
        thread, ended = owner.waiting(name)
        thread.join(20)
        assert ended == [None]


def test_a_lost_connection_wakes_those_who_wait(kind, own_redis, name, never_polled):
    with Owner(kind, own_redis.url) as owner:
        assert owner.acquire(name, b"owner", 600.0)
        thread, ended = owner.waiting(name)
        wait_until(lambda: owner.asked.count("PTTL") == 1, "it waits")
        own_redis.cmd("CLIENT", "KILL", "TYPE", "pubsub")
        thread.join(20)
        assert ended == [None], "it may ask for the lease again"


def test_a_server_that_is_gone_is_no_reason_to_wait(kind, own_redis, name):
    with Owner(kind, own_redis.url) as owner:
        assert owner.acquire(name, b"owner", 600.0)
        thread, ended = owner.waiting(name)
        wait_until(lambda: "PTTL" in owner.asked, "it waits")
        own_redis.kill()
        thread.join(20)
        assert len(ended) == 1
        with pytest.raises(BackendError):
            owner.acquire(name, b"owner", 1.0)
        with pytest.raises(BackendError):
            owner.wait(name, 600.0)


def test_who_may_not_subscribe_asks_now_and_then(kind, own_redis, name):
    own_redis.cmd("ACL", "SETUSER", "app", "on", ">geheim", "~*", "resetchannels", "+@all")
    with Owner(kind, f"redis://app:geheim@127.0.0.1:{own_redis.port}", timeout="250ms") as app:
        assert app.acquire(name, b"owner", 600.0)
        thread, ended = app.waiting(name)
        wait_until(lambda: app.asked.count("PTTL") >= 3, "it asks")
        assert ended == []
        app.release(name, b"owner")  # which may not publish, either
        thread.join(20)
        assert ended == [None]


def test_scripts_that_the_server_has_forgotten_are_sent_again(kind, redis_server, name):
    with Owner(kind, redis_server.url) as owner, redis.Redis.from_url(redis_server.url) as client:
        for _ in range(2):
            client.script_flush()
            assert owner.acquire(name, b"owner", 600.0)
            assert not owner.acquire(name, b"other", 600.0)
            client.script_flush()
            owner.release(name, b"owner")
        assert owner.asked.count("EVAL") == 4
        assert client.exists(name) == 0


def test_leases_end_even_if_they_are_short(kind, redis_server, name):
    with Owner(kind, redis_server.url) as owner:
        assert owner.acquire(name, b"owner", 1e-9)
        wait_until(lambda: owner.acquire(name, b"other", 600.0), "it has ended")


def test_in_a_cluster(kind, redis_cluster, name, never_polled):
    def client():
        if kind == "sync":
            return redis.RedisCluster.from_url(redis_cluster.url)
        return redis.asyncio.RedisCluster(host="127.0.0.1", port=redis_cluster.masters[0].port)

    mine = client()
    try:
        with Owner(kind, mine) as owner:
            for i in range(6):
                lease = name + b"%d" % i
                assert owner.acquire(lease, b"owner", 600.0)
                assert not owner.acquire(lease, b"other", 600.0)
                before = owner.asked.count("PTTL")
                thread, ended = owner.waiting(lease)
                wait_until(lambda before=before: owner.asked.count("PTTL") > before, "it waits")
                owner.release(lease, b"owner")
                thread.join(20)
                assert ended == [None]
            if kind == "async":
                owner.call(mine.aclose)
    finally:
        if kind == "sync":
            mine.close()


def test_waiting_costs_nothing_while_it_lasts(kind, redis_server, name):
    with Owner(kind, redis_server.url) as owner:
        assert owner.acquire(name, b"owner", 600.0)
        began = time.monotonic()
        owner.wait(name, 0.3)
        assert time.monotonic() - began >= 0.3
        assert owner.asked.count("PTTL") == 1
