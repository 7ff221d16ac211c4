"""The Redis stores keep the contract of stores, on every server found."""

from __future__ import annotations

import pytest
import redis
import redis.asyncio

from scalekit.cache import (
    AsyncBatchCacheStore,
    AsyncLeasingCacheStore,
    BatchCacheStore,
    LeasingCacheStore,
    _frame,
)
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing import CacheStoreSuite


@pytest.fixture(autouse=True)
def _apart(key_prefix, monkeypatch):
    """Keep away from what others have on the server."""
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)


class TestRedisCacheStore(CacheStoreSuite):
    protocols = (BatchCacheStore, LeasingCacheStore)

    @pytest.fixture
    def store(self, redis_server):
        with RedisLink.from_url(redis_server.url, timeout="5s") as link:
            yield RedisCacheStore(link)


class TestAsyncRedisCacheStore(CacheStoreSuite):
    protocols = (AsyncBatchCacheStore, AsyncLeasingCacheStore)

    @pytest.fixture
    def store(self, redis_server):
        # Its connections close with the suite's event loop.
        return AsyncRedisCacheStore(AsyncRedisLink.from_url(redis_server.url, timeout="5s"))


class TestRedisCacheStoreOnACluster(CacheStoreSuite):
    protocols = (BatchCacheStore, LeasingCacheStore)

    @pytest.fixture
    def store(self, redis_cluster):
        with (
            redis.RedisCluster.from_url(redis_cluster.url) as client,
            RedisLink(client, timeout="5s") as link,
        ):
            yield RedisCacheStore(link)


class TestAsyncRedisCacheStoreOnACluster(CacheStoreSuite):
    protocols = (AsyncBatchCacheStore, AsyncLeasingCacheStore)

    @pytest.fixture
    def store(self, redis_cluster):
        # The client is read, and never connected.
        client = redis.asyncio.RedisCluster.from_url(redis_cluster.url)
        return AsyncRedisCacheStore(AsyncRedisLink(client, timeout="5s"))
