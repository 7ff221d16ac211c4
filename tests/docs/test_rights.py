"""The rights that the page about Redis asks for are enough, and none is too many."""

from __future__ import annotations

import re
import threading

import pytest

from scalekit.cache import Cache, MemoryCacheStore, TieredCacheStore
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink
from tests.architecture.source import ROOT
from tests.cache.either import DEADLINE
from tests.servers import redis as redises
from tests.servers.lifeline import wait_until
from tests.servers.redis import RedisServer

PAGE = (ROOT / "docs" / "cache-redis.md").read_text("utf-8")
PLAIN, CLUSTER, TIERS = (line.split() for line in re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE))


class Limited:
    """A server with a user of those rights alone, which are given as they are on the page."""

    def __init__(self, server, *lines):
        for line in lines:
            server.cmd(*line)
        self.server = server
        self.url = server.url.replace("//", "//app:secret@")
        self._granted = {command(word[1:]) for line in lines for word in line if word.startswith("+")}

    def link(self):
        return RedisLink.from_url(self.url, timeout="5s")

    def refused(self):
        entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in self.server.cmd("ACL", "LOG")]
        return {command(entry[b"object"].decode()) for entry in entries}

    def unused(self):
        return self._granted - set(map(command, self.server.calls()))


def command(name):
    """Without its subcommand, which Redis 6.2 does not count."""
    return name.partition("|")[0]


@pytest.fixture
def server(redis_flavour, starts_servers):
    server = RedisServer(redises.flavours().get(redis_flavour) or redises.preferred())
    server.start()
    yield server
    server.close()


def use(cache):
    """Do what a cache can do, and what its scripts do seldom."""
    find = cache.cached(ttl="1m", none_ttl=0, tags=["x:{x}"])(lambda x: x)
    many = cache.cached_many(ttl="1m", tags=["x:{id}"], version=2)(lambda ids: dict.fromkeys(ids, 1))
    assert find(1) == find(1) == find.refresh(1) == 1
    assert (find(None), find.refresh(None)) == (None, None), "nothing is kept, and what was there goes"
    assert many([1, 2]) == many([1, 2]) == {1: 1, 2: 1}
    cache.set("k", 1, ttl="30d", tags=["x:1"])  # its tag has to live for longer
    assert cache.get("k") == 1
    cache.delete("k")
    cache.invalidate_tags("x:1")
    cache.clear()


def test_the_plain_store(server):
    limited = Limited(server, PLAIN)
    with limited.link() as link:
        use(Cache(RedisCacheStore(link), on_error="raise"))
    assert limited.refused() <= {"client"}, "how the client calls itself"
    assert not limited.unused()


def test_one_load_for_the_fleet(server):
    limited = Limited(server, PLAIN, CLUSTER)
    go_on = threading.Event()

    def load(x):
        assert go_on.wait(DEADLINE)
        return x

    with limited.link() as mine, limited.link() as theirs:
        caches = [Cache(RedisCacheStore(link), on_error="raise") for link in (mine, theirs)]
        use(caches[0])
        calls = [cache.cached(ttl="1m", lock="cluster")(load) for cache in caches]
        threads = [threading.Thread(target=call, args=(1,)) for call in calls]
        for thread in threads:
            thread.start()
        wait_until(lambda: server.cmd("PUBSUB", "CHANNELS"), "the one who waits listens")
        go_on.set()
        for thread in threads:
            thread.join()
        wait_until(lambda: not limited.unused(), "each right is used")
    assert limited.refused() <= {"client"}


def test_tiers(server):
    limited = Limited(server, PLAIN, TIERS)
    with limited.link() as link:
        store = TieredCacheStore(MemoryCacheStore(), RedisCacheStore(link))
        cache = Cache(store, on_error="raise")
        use(cache)
        wait_until(lambda: store.coherent, "memory may answer")
        use(cache)
    assert limited.refused() <= {"client"}
    assert not limited.unused()
    assert store.listening_error is None
