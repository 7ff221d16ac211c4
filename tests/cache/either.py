"""One scenario for both faces: loaders are plain functions of one argument, calls are plain calls."""

from __future__ import annotations

import asyncio
import inspect

from scalekit.cache import AsyncCache, Cache
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until


class Sync:
    """`Cache`, and what is decorated with it."""

    def __init__(self, store=None, **options):
        self.clock = options.pop("clock", None) or ManualClock()
        self.events = []
        if options.pop("watched", False):
            options["on_event"] = self.events.append
        self.cache = Cache(store, clock=self.clock, **options)

    def cached(self, function, **options):
        def load(x):
            return function(x)

        return self.cache.cached(**options)(load)

    def cached_many(self, function, **options):
        def load(ids):
            return function(ids)

        return self.cache.cached_many(**options)(load)

    def __call__(self, method, *args, **options):
        return method(*args, **options)

    def settle(self):
        """Let what runs behind the callers' backs end."""
        wait_until(lambda: not self.cache._reads.background._running, "nothing runs in the background")

    def outcomes(self):
        return [(event.name, event.outcome) for event in self.events]

    def close(self):
        self.settle()


class Async(Sync):
    """`AsyncCache`, awaited in one event loop."""

    def __init__(self, store=None, **options):
        self._driver = Driver()
        super().__init__(store, **{"clock": ManualClock()} | options)
        watched = {"on_event": self.events.append} if options.get("watched") else {}
        kept = {name: value for name, value in options.items() if name not in {"clock", "watched"}}
        self.cache = AsyncCache(store, clock=self.clock, **kept | watched)

    def cached(self, function, **options):
        async def load(x):
            return function(x)

        return self.cache.cached(**options)(load)

    def cached_many(self, function, **options):
        async def load(ids):
            return function(ids)

        return self.cache.cached_many(**options)(load)

    def __call__(self, method, *args, **options):
        async def awaited():
            outcome = method(*args, **options)
            return await outcome if inspect.isawaitable(outcome) else outcome

        return self._driver(awaited)

    def settle(self):
        async def settled():
            await asyncio.gather(*self.cache._reads.background._running.values())

        self._driver(settled)

    def close(self):
        self._driver.__exit__(None, None, None)
