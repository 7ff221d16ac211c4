"""Both Redis stores against the suite, on every server: told the time, and by the server's own clock."""

from __future__ import annotations

import pytest

from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing import RateLimitStoreSuite
from tests.ratelimit.redis_stores import AsyncToldTime, ToldTime

EXPIRES_LATER = 3_600_000_000  # the server's own clock goes on while the told one stands still


class Prefixed(RateLimitStoreSuite):
    window = EXPIRES_LATER

    @pytest.fixture(autouse=True)
    def _prefix(self, key_prefix):
        self.prefix = key_prefix

    def _key(self):
        return self.prefix + super()._key()


class TestRedisRateLimitStore(Prefixed):
    @pytest.fixture
    def store(self, redis_server):
        with RedisLink.from_url(redis_server.url, timeout="5s") as link:
            yield ToldTime(link)


class TestAsyncRedisRateLimitStore(Prefixed):
    @pytest.fixture
    def store(self, redis_server):
        return AsyncToldTime(AsyncRedisLink.from_url(redis_server.url, timeout="5s"))
