"""One scenario for both faces: it is written once, with plain functions, and calls are plain calls.

    face(find, 7)                 calls, and awaits what has to be awaited
    face.start(find, 7)           does so beside the test: a future, whose `cancel()` cancels a task
    face.cached(load, ttl=10)     decorates a plain function

A loader that has to wait, or to call a cache itself, is a generator: it yields a `Gate` to wait there, or a
function without arguments to call, whose result it is sent.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import Future
from functools import partial

from scalekit.cache import AsyncCache, Cache
from scalekit.testing import Gate, ManualClock
from tests.servers.lifeline import wait_until

DEADLINE = 30


class Source:
    """A loader: counts its runs, waits at `gate` if there is one, and fails when told to."""

    def __init__(self, *, gate=None, cost=None):
        self.runs = 0
        self.error = None
        self.gate = gate
        self.cost = cost
        self.value = lambda x, run: f"{x} v{run}"

    def __call__(self, x):
        self.runs += 1
        run, error = self.runs, self.error
        if self.gate is not None:
            yield self.gate
        if self.cost is not None:
            yield self.cost
        if error is not None:
            raise error
        return self.value(x, run)


class Sync:
    """`Cache`, and what is decorated with it."""

    is_async = False

    def __init__(self, store=None, **options):
        self.clock = options.pop("clock", None) or ManualClock()
        self.events = []
        if options.pop("watched", False):
            options["on_event"] = self.events.append
        self.cache = self._made(store, clock=self.clock, **options)

    _made = staticmethod(Cache)

    def plain(self, function):
        """Return `function` as this face's loader, with the same signature."""

        def load(*args, **kwargs):
            return _run(function(*args, **kwargs))

        load.__signature__ = inspect.signature(function)
        return load

    def cached(self, function, **options):
        def load(x):
            return _run(function(x))

        return self.cache.cached(**options)(load)

    def cached_many(self, function, **options):
        def load(ids):
            return _run(function(ids))

        return self.cache.cached_many(**options)(load)

    def __call__(self, method, *args, **options):
        return method(*args, **options)

    def start(self, method, *args, **options):
        future = Future()
        future.set_running_or_notify_cancel()

        def run():
            try:
                future.set_result(method(*args, **options))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def settle(self):
        """Let what runs behind the callers' backs end."""
        running = self.cache._reads.background._running
        wait_until(lambda: not running, "nothing runs in the background")

    def outcomes(self):
        return [(event.name, event.outcome) for event in self.events]

    def stats(self):
        return self.cache.stats()

    def close(self):
        self.cache._reads.invalidations._pending.__init__("")  # else it would be tried for ever
        self.settle()


class Async(Sync):
    """`AsyncCache`, in an event loop of its own."""

    is_async = True
    _made = staticmethod(AsyncCache)

    def __init__(self, store=None, **options):
        super().__init__(store, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def plain(self, function):
        async def load(*args, **kwargs):
            return await _async_run(function(*args, **kwargs))

        load.__signature__ = inspect.signature(function)
        return load

    def cached(self, function, **options):
        async def load(x):
            return await _async_run(function(x))

        return self.cache.cached(**options)(load)

    def cached_many(self, function, **options):
        async def load(ids):
            return await _async_run(function(ids))

        return self.cache.cached_many(**options)(load)

    def __call__(self, method, *args, **options):
        return self.start(method, *args, **options).result(DEADLINE)

    def start(self, method, *args, **options):
        return asyncio.run_coroutine_threadsafe(_awaited(partial(method, *args, **options)), self._loop)

    def settle(self):
        async def settled():
            while running := list(self.cache._reads.background._running.values()):
                await asyncio.wait(running)

        self(settled)

    def close(self):
        async def cancel_all():
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        try:
            self(cancel_all)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(DEADLINE)
            self._loop.close()


def _run(outcome):
    if not inspect.isgenerator(outcome):
        return outcome
    send = partial(next, outcome)
    while True:
        try:
            step = send()
        except StopIteration as end:
            return end.value
        try:
            send = partial(outcome.send, step.block() if isinstance(step, Gate) else step())
        except BaseException as error:
            send = partial(outcome.throw, error)


async def _async_run(outcome):
    if not inspect.isgenerator(outcome):
        return outcome
    send = partial(next, outcome)
    while True:
        try:
            step = send()
        except StopIteration as end:
            return end.value
        try:
            send = partial(outcome.send, await (step.suspend() if isinstance(step, Gate) else _awaited(step)))
        except BaseException as error:
            send = partial(outcome.throw, error)


async def _awaited(call):
    outcome = call()
    return await outcome if inspect.isawaitable(outcome) else outcome
