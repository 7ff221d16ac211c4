"""What a policy promises, through both faces: stale answers, exceptions, time-outs, failing stores."""

from __future__ import annotations

import asyncio
import threading
from itertools import count

import pytest

from scalekit.cache import CachePolicy, MemoryCacheStore
from scalekit.errors import ConfigurationError, LoadTimeout
from scalekit.testing import ManualClock
from tests.cache.either import Async, Sync


class NotFound(Exception):
    pass


class Source:
    """A loader: counts its runs, and fails when told to."""

    def __init__(self):
        self.runs = 0
        self.error = None

    def __call__(self, x):
        self.runs += 1
        if self.error is not None:
            raise self.error
        return f"{x} v{self.runs}"


# -- stale while revalidate ------------------------------------------------------------------------


def test_a_stale_value_is_answered_at_once_and_reloaded_once(either):
    face, source = either(watched=True), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=20)
    assert face(find, 7) == "7 v1"
    face.clock.advance(10)
    assert face(find, 7) == "7 v1"
    face.settle()
    assert source.runs == 2
    assert face(find, 7) == "7 v2"
    stats = face(face.cache.stats)
    assert (stats.hits, stats.misses, stats.stale_hits, stats.loads) == (2, 1, 1, 2)
    assert ("get", "stale") in face.outcomes()
    face.clock.advance(29.9)
    assert face(find, 7) == "7 v2"
    face.settle()
    face.clock.advance(31)
    assert face(find, 7) == "7 v4", "beyond both windows a call loads"


def test_a_stale_value_never_crosses_an_invalidation(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=20, stale_if_error=90, tags=["t"])
    for end in (lambda: face(face.cache.invalidate_tags, "t"), lambda: face(find.invalidate, 7)):
        first = face(find, 7)
        face.clock.advance(11)
        end()
        assert face(find, 7) != first
        face.clock.advance(40)
        end()
        source.error = OSError("gone")
        with pytest.raises(OSError, match="gone"):
            face(find, 7)
        source.error = None


def test_a_reload_that_fails_is_held_off_for_a_second(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=90)
    face(find, 7)
    face.clock.advance(11)
    source.error = OSError("gone")
    for _ in range(5):
        assert face(find, 7) == "7 v1"
        face.settle()
    assert source.runs == 2
    face.clock.advance(1.0)
    assert face(find, 7) == "7 v1"
    face.settle()
    assert source.runs == 3


# -- stale if error --------------------------------------------------------------------------------


def test_a_failed_load_is_answered_with_the_value_from_before_once_a_second(either):
    face, source = either(watched=True), Source()
    find = face.cached(source, ttl=10, stale_if_error=60)
    face(find, 7)
    face.clock.advance(11)
    source.error = OSError("gone")
    assert [face(find, 7) for _ in range(4)] == ["7 v1"] * 4
    assert source.runs == 2, "held off after the first failure"
    face.clock.advance(1.0)
    assert face(find, 7) == "7 v1"
    assert source.runs == 3
    source.error = None
    face.clock.advance(1.0)
    assert face(find, 7) == "7 v4"
    stats = face(face.cache.stats)
    assert (stats.load_errors, stats.stale_hits) == (2, 5)
    face.clock.advance(70)
    source.error = OSError("gone for good")
    with pytest.raises(OSError, match="for good"):
        face(find, 7)


def test_an_invalidation_during_the_load_that_fails_leaves_nothing_to_answer_with(either):
    store, source = MemoryCacheStore(), Source()
    face = either(store)

    def load(x):
        if source.runs:
            store.invalidate(["cache:t"])
            raise OSError("gone")
        return source(x)

    find = face.cached(load, ttl=10, stale_if_error=60, tags=["t"])
    face(find, 7)
    face.clock.advance(11)
    with pytest.raises(OSError, match="gone"):
        face(find, 7)


# -- early refresh ---------------------------------------------------------------------------------


def test_a_value_is_reloaded_before_its_end_by_one_of_many_reads(either):
    clock = ManualClock()
    face, source = either(clock=clock), Source()

    def load(x):
        clock.advance(1)
        return source(x)

    find = face.cached(load, ttl=100, early_refresh=1.0)
    face(find, 7)
    clock.advance(70)
    for _ in range(50):
        face(find, 7)
    face.settle()
    assert source.runs == 1, "30 load times before the end: once in 1e13 reads"
    clock.advance(29.7)
    for _ in range(200):  # three quarters of the reads would
        face(find, 7)
        face.settle()
        if source.runs > 1:
            break
    assert source.runs == 2
    stats = face(face.cache.stats)
    assert (stats.misses, stats.stale_hits) == (1, 0)


# -- exceptions that are answers -------------------------------------------------------------------


def test_a_listed_exception_is_kept_and_no_other(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=100, cache_exceptions=(NotFound,), exception_ttl=5)
    source.error = NotFound(7)
    seen = []
    for _ in range(3):
        with pytest.raises(NotFound) as caught:
            face(find, 7)
        seen.append(caught.value)
    assert source.runs == 1
    assert len({id(error) for error in seen}) == 3, "each caller has a copy of its own"
    assert all(error.args == (7,) for error in seen)
    face.clock.advance(5)
    source.error = OSError("no answer")
    for _ in range(2):
        with pytest.raises(OSError, match="no answer"):
            face(find, 7)
    assert source.runs == 3


# -- time-outs and locks ---------------------------------------------------------------------------


def test_a_load_that_takes_too_long_is_left_to_itself_and_stored():
    face, release, runs = Sync(), threading.Event(), count(1)

    def load(x):
        number = next(runs)
        release.wait(30)
        return number

    find = face.cached(load, ttl=10, load_timeout=0.02)
    for _ in range(3):  # all wait for one load, each for as long as it may
        with pytest.raises(LoadTimeout, match=r"load\(x=7\) did not end within 0.02 s"):
            find(7)
    release.set()
    patient = face.cached(load, ttl=10, load_timeout=30, version="patient")
    assert (find(7), patient(7)) == (1, 2)
    assert face.cache.stats().loads == 2


def test_a_coroutine_that_takes_too_long_is_cancelled_when_nobody_waits():
    face, cancelled = Async(), []

    async def load(x):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(x)
            raise

    find = face.cache.cached(ttl=10, load_timeout=0.02)(load)
    with pytest.raises(LoadTimeout):
        face(find, 7)
    face.close()
    assert cancelled == [7]


def test_without_a_lock_everyone_loads():
    face, together, runs = Sync(), threading.Barrier(4, timeout=30), count(1)

    def load(x):
        together.wait()
        return next(runs)

    find = face.cached(load, ttl=10, lock=None)
    threads = [threading.Thread(target=find, args=(7,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert face.cache.stats().loads == 4


def test_a_store_without_elections_is_refused_when_the_function_is_decorated(either):
    face = either()
    with pytest.raises(ConfigurationError, match="the store cannot elect one of several processes"):
        face.cached(Source(), ttl=1, lock="cluster")


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"on_error": "ignore"}, 'expected on_error as "load" or "raise"'),
        ({"on_error": []}, 'expected on_error as "load" or "raise"'),
        ({"on_error_invalidate": {}}, 'expected on_error_invalidate as "raise" or "queue"'),
        ({"on_error_invalidate": "drop"}, 'expected on_error_invalidate as "raise" or "queue"'),
        ({"compress_above": 0}, "expected compress_above as an integer from 1 to below 4 GiB; got 0"),
        ({"compress_above": "4k"}, "expected compress_above as an integer"),
    ],
)
def test_nonsense_is_refused_by_the_face(either, options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        either(**options)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"stale_while_revalidate": -1}, "stale_while_revalidate"),
        ({"stale_if_error": "x"}, "stale_if_error"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": True}, "jitter"),
        ({"early_refresh": -0.1}, "early_refresh"),
        ({"cache_exceptions": (KeyboardInterrupt,)}, "cache_exceptions"),
        ({"cache_exceptions": "NotFound"}, "cache_exceptions"),
        ({"exception_ttl": 5}, "exception_ttl"),
        ({"lock": "server"}, "lock"),
        ({"lease": 0}, "lease"),
        ({"load_timeout": 0}, "load_timeout"),
    ],
)
def test_nonsense_is_refused_by_the_policy(options, parameter):
    with pytest.raises(ConfigurationError, match=f"expected {parameter} "):
        CachePolicy(ttl=1, **options)


class Noting(MemoryCacheStore):
    """A store that notes for how long entries are to live."""

    __slots__ = ("lives",)

    def write(self, slot, entry, snapshot, now, /):
        self.lives.append(entry.expires - now)
        return super().write(slot, entry, snapshot, now)


def test_jitter_shortens_lifetimes_at_random(either):
    store = Noting()
    store.lives = []
    face = either(store)
    find = face.cached(Source(), ttl=100, jitter=0.5)
    for x in range(50):
        face(find, x)
    assert len(set(store.lives)) > 40
    assert all(50 <= life <= 100 for life in store.lives)
    assert max(store.lives) - min(store.lives) > 20
