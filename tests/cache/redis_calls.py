"""A Redis store under test: its methods, sync or async, on one server or a cluster, and its round trips."""

from __future__ import annotations

import redis

from scalekit.cache import Entry, Snapshot
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._cache_probe import place

NOW = 1_000.0
SLOT = place("shop:k", "shop:", "shop:t")


class Calls:
    """A store's methods, sync or async, and the round trips that they took; `client` is redis-py's own."""

    def __init__(self, driver, link, client):
        self.driver, self.link, self.client, self.trips = driver, link, client, []
        self.store = (RedisCacheStore if isinstance(link, RedisLink) else AsyncRedisCacheStore)(link)
        pipeline = link.pipeline

        def counted(commands):
            names = [command[0] if isinstance(command, tuple) else command.name for command in commands]
            self.trips.append(names)
            return pipeline(commands)

        link.pipeline = counted

    def __getattr__(self, name):
        return lambda *args: self.driver(getattr(self.store, name), *args)

    def put(self, value, *, slot=SLOT, ttl=60.0, snapshot=None):
        return self.write(slot, Entry(value, expires=NOW + ttl), snapshot, NOW)

    def value(self, slot=SLOT):
        found = self.read(slot, NOW)
        return found.value if isinstance(found, Entry) else found

    def missed(self, slot=SLOT):
        found = self.read(slot, NOW)
        assert isinstance(found, Snapshot), found
        return found

    def took(self, method, *args):
        """Return what each round trip of a call was made of."""
        self.trips.clear()
        getattr(self, method)(*args)
        return list(self.trips)

    def close(self):
        self.driver(self.link.close if isinstance(self.link, RedisLink) else self.link.aclose)
        self.client.close()


def opened(driver, kind, url, *, cluster=False, **options):
    """Return `Calls` of a store of `kind`, "sync" or "async", on the server or the cluster at `url`."""
    options = {"timeout": "5s"} | options
    if not cluster:
        link = (RedisLink if kind == "sync" else AsyncRedisLink).from_url(url, **options)
        return Calls(driver, link, redis.Redis.from_url(url))
    client = redis.RedisCluster.from_url(url)
    if kind == "sync":
        return Calls(driver, RedisLink(client, **options), client)
    theirs = redis.asyncio.RedisCluster.from_url(url)  # read, and never connected
    return Calls(driver, AsyncRedisLink(theirs, **options), client)
