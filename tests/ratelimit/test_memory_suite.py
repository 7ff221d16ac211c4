"""The memory store, and a store that awaits, against the suite that third parties run."""

from __future__ import annotations

import pytest

from scalekit.ratelimit import MemoryRateLimitStore
from scalekit.testing import RateLimitStoreSuite
from tests.ratelimit.stores import AwaitedMemoryStore


class TestMemoryRateLimitStore(RateLimitStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryRateLimitStore(max_keys=10_000)


class TestAsyncStore(RateLimitStoreSuite):
    @pytest.fixture
    def store(self):
        return AwaitedMemoryStore()
