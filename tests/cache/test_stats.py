"""Counters are exact, also under threads, and say what events say."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter

import pytest

from scalekit.cache import Cache, CacheStats, MemoryCacheStore
from scalekit.cache._async_invalidations import AsyncInvalidations
from scalekit.cache._invalidations import Invalidations
from scalekit.cache._watch import Watch
from scalekit.testing import flaky
from tests.cache.either import Source

THREADS = 8


@pytest.fixture
def busy():
    """The interpreter gives way as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(function):
    threads = [threading.Thread(target=function, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("watched", [False, True], ids=["indexed", "asked"])
def test_counts_are_exact_under_threads(watched):
    cache = Cache(on_event=(lambda event: None) if watched else None)
    find = cache.cached(ttl=60)(lambda x: x)
    many = cache.cached_many(ttl=60, version=3)(lambda ids: {id_: id_ for id_ in ids})
    fail = cache.cached(ttl=60, version=2)(lambda x: 1 / 0)

    def use(seed):
        for number in range(100):
            find(seed)
            find((seed, number))
            many([(seed, number), seed])
            cache.get("no")
            cache.invalidate_tags("t", "u", f"{seed}")
            with pytest.raises(ZeroDivisionError):
                fail((seed, number))

    at_once(use)
    calls = 100 * THREADS
    assert cache.stats() == CacheStats(
        hits=2 * (calls - THREADS),
        misses=2 * THREADS + 4 * calls,
        stale_hits=0,
        loads=THREADS + 3 * calls,
        load_errors=calls,
        invalidations=3 * calls,
        backend_errors=0,
    )


@pytest.mark.usefixtures("busy")
def test_every_counter_is_exact_under_threads():
    watch = Watch(None)
    slot = type("Slot", (), {"key": "k", "tags": ()})

    def count(seed):
        for _ in range(2_000):
            watch.hit(slot, stale=True)
            watch.miss(slot)
            watch.reserve(slot)
            watch.load(slot, "error", 1.0)
            watch.invalidated(2)
            watch.failed("read", None)

    at_once(count)
    total = 2_000 * THREADS
    assert watch.counts.stats() == CacheStats(total, total, 2 * total, 0, total, 2 * total, total)


def test_the_ratio():
    assert CacheStats(0, 0, 0, 0, 0, 0, 0).hit_ratio == 0.0
    assert CacheStats(3, 1, 0, 0, 0, 0, 0).hit_ratio == 0.75
    assert CacheStats(1, 0, 1, 0, 0, 0, 0).hit_ratio == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_counters_say_what_events_say(either, seed, monkeypatch):
    """After any mixture of calls, failures of the store and of loaders."""
    for cls in (Invalidations, AsyncInvalidations):
        monkeypatch.setattr(cls, "_replay_later", lambda self: None)  # reads do
    store = flaky(
        MemoryCacheStore(), rate=0.1, seed=seed, only={"read", "begin", "write", "invalidate", "delete"}
    )
    face, source, dice = (
        either(store, watched=True, on_error_invalidate="queue"),
        Source(),
        random.Random(seed),
    )
    options = {
        "ttl": 10,
        "stale_while_revalidate": 5,
        "stale_if_error": 20,
        "early_refresh": 1.0,
        "tags": ["t"],
    }
    find = face.cached(source, **options, cache_exceptions=(KeyError,))

    def items(ids):
        if source.error is not None:
            raise source.error
        return dict.fromkeys(ids[1:])

    many = face.cached_many(items, **options, none_ttl=3)
    source.cost = lambda: face.clock.advance(0.5)
    invalidated = 0
    for _ in range(250):
        source.error = dice.choice([None, None, OSError("gone"), KeyError("answer")])
        act = dice.randrange(9)
        try:
            if act < 4:
                face(find, dice.randrange(3))
            elif act < 6:
                face(many, dice.sample(range(4), 2))
            elif act == 6:
                face(find.refresh, dice.randrange(3))
            elif act == 7:
                face(face.cache.get, find.key(dice.randrange(3)))
            else:
                face(face.cache.invalidate_tags, "t", "u")
                invalidated += 2
        except (OSError, KeyError):
            pass
        face.settle()
        face.clock.advance(dice.random() * 4)
    told = Counter(face.outcomes())
    stats = face.stats()
    loads = {outcome: number for (name, outcome), number in told.items() if name == "load"}
    after_miss = stats.stale_hits + stats.hits - told["get", "stale"] - told["get", "hit"]
    assert stats.misses == told["get", "miss"]
    assert stats.stale_hits == told["get", "stale"]
    assert stats.loads == sum(loads.values())
    assert stats.load_errors == loads["error"]
    assert stats.backend_errors == told["store", "error"]
    assert stats.invalidations == invalidated
    assert 0 <= after_miss <= stats.stale_hits
    assert all(event.block == "cache" for event in face.events)
    assert all((event.seconds is not None) == (event.name == "load") for event in face.events)
    assert all(event.key is not None for event in face.events if event.name in {"get", "load", "delete"})


def test_a_hook_that_raises_breaks_nothing(kind, caplog):
    def hook(event):
        raise ZeroDivisionError

    face = kind(on_event=hook)
    source = Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=10)
    assert (face(find, 7), face(find, 7)) == ("7 v1", "7 v1")
    face.clock.advance(11)
    face(find, 7)
    face.settle()
    face(face.cache.invalidate_tags, "t"), face(face.cache.clear)
    assert source.runs == 2
    assert len(caplog.records) == 1, "it is told once"
    face.close()
