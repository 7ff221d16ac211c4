"""One way to listen at a link, blocking or async, from plain tests."""

from __future__ import annotations

import asyncio
import threading

from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.lifeline import NoServer, wait_until


class Loop:
    """An event loop in a thread of its own, which goes on while a test waits."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            self._end = asyncio.Event()
            runner.run(self._end.wait())

    def __call__(self, function, *args):
        async def called():
            result = function(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(30)

    def close(self):
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)


class Direct:
    """What `Loop` is, for blocking calls."""

    def __call__(self, function, *args):
        return function(*args)

    def close(self):
        pass


class Heard:
    """A watcher that notes what it is told; each in one list, so that the order shows."""

    def __init__(self, *prefixes, interval=0.02):
        self.prefixes = frozenset(prefixes or (b"sk:e", b"sk:t"))
        self.interval = interval
        self.log = []
        self.at = None
        self.error = str

    def begun(self, session):
        self.log.append("begun")

    def changed(self, names):
        self.log.append(names)

    def proven(self, session, at):
        self.at = at

    def lost(self, session):
        self.log.append("lost")
        self.at = None

    def forked(self):
        self.log.append("forked")

    def until(self, what, times=1, timeout=15.0):
        try:
            wait_until(lambda: self.log.count(what) >= times, f"{what!r} is heard", timeout=timeout)
        except NoServer as error:
            raise AssertionError(f"{self.log}, {self.error()!r}") from error

    def until_proven(self, after, timeout=15.0):
        wait_until(lambda: self.at is not None and self.at >= after, "it is proven", timeout=timeout)


class Listening:
    """A link of a kind, where it runs, and how to close it."""

    def __init__(self, kind, given, **options):
        self.call = Direct() if kind == "sync" else Loop()
        link_class = RedisLink if kind == "sync" else AsyncRedisLink
        options = {"timeout": "5s"} | options
        if isinstance(given, str):
            self.link = link_class.from_url(given, **options)
        else:
            self.link = link_class(given, **options)
        self.kind = kind

    @property
    def listener(self):
        return self.call(lambda: self.link.listener)

    def watch(self, heard=None):
        heard = heard or Heard()
        heard.error = lambda: self.listener.error
        self.call(lambda: self.link.listener.watch(heard))
        return heard

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call(self.link.close if self.kind == "sync" else self.link.aclose)
        self.call.close()
