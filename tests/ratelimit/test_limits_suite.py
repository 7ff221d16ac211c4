"""The adapters of limits' storages against the suite, in memory and on every Redis server."""

from __future__ import annotations

import time

import limits.aio.storage
import limits.storage
import pytest

from scalekit.ratelimit.limits import AsyncLimitsRateLimitStore, LimitsRateLimitStore
from scalekit.testing import RateLimitStoreSuite
from tests.ratelimit.limits_storages import Told, async_memory, memory, on_async_redis


class Weaker(RateLimitStoreSuite):
    algorithms = ("sliding-window", "sliding-log", "sliding-counter", "fixed-window")
    several_limits = False
    refunds = False
    exact_remaining = False
    slack = 20_000
    window = 8_000_000

    def advance(self, microseconds):
        self.told.advance(microseconds / 1_000_000)
        super().advance(microseconds)


class InMemory(Weaker):
    @pytest.fixture(autouse=True)
    def _told(self, monkeypatch):
        self.told = Told(monkeypatch)


class TestMemoryStorage(InMemory):
    @pytest.fixture
    def store(self):
        return LimitsRateLimitStore(memory())


class TestAsyncMemoryStorage(InMemory):
    @pytest.fixture
    def store(self):
        return AsyncLimitsRateLimitStore(async_memory())


class OnRedis(Weaker):
    window = 3_600_000_000  # the server's own clock, by which keys expire, goes on while the told one stands

    @pytest.fixture(autouse=True)
    def _told(self, monkeypatch):
        self.told = Told(monkeypatch, round(time.time()))


class TestRedisStorage(OnRedis):
    @pytest.fixture
    def store(self, redis_server, key_prefix):
        return LimitsRateLimitStore(limits.storage.RedisStorage(redis_server.url, key_prefix=key_prefix))


@on_async_redis
class TestAsyncRedisStorage(OnRedis):
    @pytest.fixture
    def store(self, redis_server, key_prefix):
        url = f"async+{redis_server.url}"
        return AsyncLimitsRateLimitStore(
            limits.aio.storage.RedisStorage(url, implementation="redispy", key_prefix=key_prefix)
        )
