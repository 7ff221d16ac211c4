"""Backends for tests."""

from __future__ import annotations

import threading

from scalekit.errors import ConfigurationError
from scalekit.images import Jpeg


class FakeRendered:
    def __init__(self, size, length):
        self.size = size
        self._length = length

    def encode(self, encoding, /):
        return b"x" * self._length(encoding)


class SpyBackend:
    """Renders nothing, notes every call, and may wait in `render` until it is let go."""

    version = "spy 1"

    def __init__(self, *, length=lambda encoding: 10, error=None):
        self.calls = []
        self.threads = set()
        self.at_once = self.most_at_once = 0
        self.gate = None
        self.entered = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._length = length
        self._error = error

    def check(self, recipe, /):
        if isinstance(recipe.encoding, Jpeg) and recipe.encoding.quality == 13:
            raise ConfigurationError("encoding", recipe.encoding, "of a lucky quality")

    def render(self, plan, data, /):
        self.calls.append((plan, data))
        self.threads.add(threading.current_thread())
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.release()
        try:
            if self.gate is not None:
                assert self.gate.wait(30)
            if self._error is not None:
                raise self._error
        finally:
            with self._lock:
                self.at_once -= 1
        return FakeRendered(plan.canvas, self._length)
