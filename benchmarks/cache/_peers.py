"""The peers as their documentation shows them: a TTL, a bound where there is one, in memory."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import cachebox
import cachetools
import theine
from aiocache import Cache as AioCache
from aiocache import cached as aiocached
from cashews import Cache as Cashews
from dogpile.cache import make_region

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

BOUND = 100_000


def sync_decorators(ttl: float) -> dict[str, Decorator]:
    """Return name to decorator for functions."""
    region = make_region().configure("dogpile.cache.memory", expiration_time=ttl)
    return {
        "cachebox": cachebox.cached(cachebox.TTLCache(BOUND, ttl)),
        "cachetools": cachetools.cached(cachetools.TTLCache(BOUND, ttl)),
        "cachetools, lock": cachetools.cached(cachetools.TTLCache(BOUND, ttl), lock=threading.Lock()),
        "theine": theine.Memoize(BOUND, timedelta(seconds=ttl)),
        "dogpile.cache": region.cache_on_arguments(),
    }


def async_decorators(ttl: float) -> dict[str, Decorator]:
    """Return name to decorator for coroutine functions."""
    cashews = Cashews()
    cashews.setup("mem://", size=BOUND)
    return {
        "cachebox": cachebox.cached(cachebox.TTLCache(BOUND, ttl)),
        "theine": theine.Memoize(BOUND, timedelta(seconds=ttl)),
        "aiocache": aiocached(ttl=ttl, cache=AioCache.MEMORY),
        "cashews": cashews(ttl=ttl),
        "cashews, 2 tags": cashews(ttl=ttl, tags=["user:{user_id}", "users"]),
    }
