"""Storages of limits on a clock that tests move."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from types import SimpleNamespace

import limits.aio.storage
import limits.aio.storage.redis
import limits.storage
import limits.storage.redis

from scalekit.ratelimit import Limit, Quota

OURS = "scalekit.ratelimit.limits._steps"
START = 1_800_000_000  # a multiple of 60


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
