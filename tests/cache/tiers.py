"""Tiered stores, blocking or async, as plain tests use them."""

from __future__ import annotations

import time

from scalekit.cache import AsyncTieredCacheStore, Entry, MemoryCacheStore, Snapshot, TieredCacheStore
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.testing._cache_probe import place
from tests.redis.listening import Listening
from tests.servers.lifeline import wait_until

SLOT = place("shop:k", "shop:", "shop:t")
HOUR = 3_600.0


class Tiers:
    """A tiered store of a kind, where it runs, and the round trips that it made."""

    def __init__(self, kind, given, *, max_staleness="1h", **options):
        self.kind = kind
        self.listening = Listening(kind, given, **options)
        self.link, self.call = self.listening.link, self.listening.call
        self.near = MemoryCacheStore()
        far_class = RedisCacheStore if kind == "sync" else AsyncRedisCacheStore
        tiered_class = TieredCacheStore if kind == "sync" else AsyncTieredCacheStore
        self.far = far_class(self.link)
        self.store = tiered_class(self.near, self.far, max_staleness=max_staleness)
        self.trips = 0
        pipeline = self.link.pipeline

        def counted(commands):
            self.trips += 1
            return pipeline(commands)

        self.link.pipeline = counted

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.__exit__()

    def start(self):
        """Listen, and wait until the near tier may answer."""
        self.read(place("shop:nothing"))
        wait_until(lambda: self.store.coherent, "the near tier may answer")
        return self

    def read(self, slot=SLOT):
        return self.call(self.store.read, slot, time.monotonic())

    def value(self, slot=SLOT):
        found = self.read(slot)
        return found.value if isinstance(found, Entry) else None

    def missed(self, slot=SLOT):
        found = self.read(slot)
        assert isinstance(found, Snapshot), found
        return found

    def put(self, value, slot=SLOT, *, ttl=HOUR, fresh=None, snapshot=None, store=None):
        now = time.monotonic()
        entry = Entry(value, expires=now + ttl, fresh_until=None if fresh is None else now + fresh)
        return self.call((store or self.store).write, slot, entry, snapshot, now)

    def took(self, function, *args):
        """Return what a call returned, and the round trips it took."""
        before = self.trips
        result = function(*args)
        return result, self.trips - before

    def held(self, slot=SLOT):
        """Whether a read is answered by the near tier."""
        return self.took(self.read, slot)[1] == 0

    def until_held(self, slot=SLOT):
        """Read until the near tier answers: a copy made at once may go with the announcement of the writing."""  # noqa: E501
        wait_until(lambda: self.held(slot), "the near tier answers")

    def until_gone(self, slot=SLOT):
        """Wait until the near tier has heard that the entry is gone, without asking the far one."""
        wait_until(lambda: self.gone(slot), "it was heard")

    def gone(self, slot=SLOT):
        """Whether the near tier has no copy, without asking the far one."""
        return isinstance(self.near.read(*self._near_place(slot)), Snapshot)

    def until_proven(self, instant):
        """Wait until it is proven that every announcement from before `instant` was heard."""
        near = self.store._near
        wait_until(lambda: near._ends - near._max_staleness >= instant, "it is proven")

    def _near_place(self, slot):
        from scalekit.cache._frame import entry_name

        return place(self.store._near._name(entry_name(slot.key))), time.monotonic()
