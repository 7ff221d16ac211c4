"""Storages of limits: some that can do little, and a clock for all that tests move."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from types import SimpleNamespace
from typing import ClassVar

import limits.aio.storage
import limits.aio.storage.redis
import limits.storage
import limits.storage.redis
import pytest
import redis

from scalekit.ratelimit import Limit, Quota

OURS = "scalekit.ratelimit.limits._steps"
START = 1_800_000_000  # a multiple of 60


on_async_redis = pytest.mark.skipif(
    tuple(map(int, redis.__version__.split(".")[:2])) < (5, 2),
    reason="the async storage of limits needs redis 5.2, later than we do",
)
SERVED = ["sliding-window", "sliding-log", "sliding-counter", "fixed-window"]


class Told:
    """The time of day, in seconds, that the storages of limits and their adapter are told."""

    def __init__(self, monkeypatch, now=START):
        self.microseconds = now * 1_000_000
        import_module(OURS)
        for name, module in list(sys.modules.items()):
            # Not on the module time itself, for others go by that one.
            if (name == OURS or name.startswith("limits.")) and getattr(module, "time", None) is time:
                monkeypatch.setattr(module, "time", SimpleNamespace(time=self))

    def __call__(self):
        return self.microseconds / 1_000_000

    def advance(self, seconds):
        self.microseconds += round(seconds * 1_000_000)


def swept_never(storage):
    """Return a memory storage without its sweeper, whose start two threads race for (limits issue 26)."""
    storage.timer.cancel()
    storage.timer = SimpleNamespace(is_alive=lambda: True)
    return storage


def memory():
    return swept_never(limits.storage.MemoryStorage())


def async_memory():
    return limits.aio.storage.MemoryStorage()


def quota(text, algorithm="sliding-window"):
    return Quota(Limit.parse_many(text), algorithm)


class Spare(limits.storage.Storage):
    """The least that is a storage of limits; what it is asked is noted."""

    STORAGE_SCHEME: ClassVar = ["spare"]
    base_exceptions = KeyError
    raises = None

    def __init__(self, **options):
        super().__init__(**options)
        self.counts = {}

    def get(self, key):
        if self.raises is not None:
            raise self.raises
        return self.counts.get(key, 0)

    def incr(self, key, expiry, amount=1):
        self.counts[key] = self.counts.get(key, 0) + amount
        return self.counts[key]

    def get_expiry(self, key):
        return 0.0

    def check(self):
        return True

    def reset(self):
        return None

    def clear(self, key):
        self.counts.pop(key, None)


class LikeMemcached(Spare, limits.storage.base.SlidingWindowCounterSupport):
    STORAGE_SCHEME: ClassVar = ["memcached-like"]

    def acquire_sliding_window_entry(self, key, limit, expiry, amount=1):
        return True

    def get_sliding_window(self, key, expiry):
        return 0, 0.0, 0, 0.0

    def clear_sliding_window(self, key, expiry):
        pass
