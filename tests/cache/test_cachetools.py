"""A cachetools cache as the policy: the contract of stores, and what is left of the cache's own."""

from __future__ import annotations

import gc
import time
from weakref import ref

import cachetools
import pytest

from scalekit.cache import AsyncCache, Cache, Entry, NonblockingCacheStore, Snapshot
from scalekit.cache._awaitable import AwaitableStore
from scalekit.cache.cachetools import CachetoolsCacheStore
from scalekit.errors import ConfigurationError
from scalekit.testing import CacheStoreSuite, ManualClock
from scalekit.testing._cache_probe import place
from tests.cache.test_memory import has, put
from tests.cache.test_memory_suite import VALUES

ROOM = 100_000
POLICIES = {
    "Cache": lambda room=ROOM, **kw: cachetools.Cache(room, **kw),
    "FIFO": lambda room=ROOM, **kw: cachetools.FIFOCache(room, **kw),
    "LFU": lambda room=ROOM, **kw: cachetools.LFUCache(room, **kw),
    "LRU": lambda room=ROOM, **kw: cachetools.LRUCache(room, **kw),
    "RR": lambda room=ROOM, **kw: cachetools.RRCache(room, **kw),
    "TTL": lambda room=ROOM, **kw: cachetools.TTLCache(room, 3_600, **kw),
    "TLRU": lambda room=ROOM, **kw: cachetools.TLRUCache(room, lambda _k, _v, now: now + 3_600, **kw),
}


class OfAnyPolicy(CacheStoreSuite):
    protocols = (NonblockingCacheStore,)
    values = VALUES

    @pytest.fixture(params=POLICIES)
    def cache(self, request):
        return POLICIES[request.param]()

    @pytest.fixture
    def store(self, cache):
        return CachetoolsCacheStore(cache)

    @pytest.fixture
    def clock(self):
        return ManualClock()


class TestCachetoolsCacheStore(OfAnyPolicy):
    pass


class TestWithSizes(OfAnyPolicy):
    @pytest.fixture(params=["LFU", "TLRU"])
    def cache(self, request):
        return POLICIES[request.param](2**30, getsizeof=lambda value: len(repr(value)))


class TestAsAnAsyncStore(OfAnyPolicy):
    protocols = ()

    @pytest.fixture(params=["LRU"])
    def store(self, request):
        return AwaitableStore(CachetoolsCacheStore(POLICIES[request.param]()))


class TestInRealTime(CacheStoreSuite):
    protocols = (NonblockingCacheStore,)

    @pytest.fixture
    def store(self):
        return CachetoolsCacheStore(cachetools.TTLCache(ROOM, 3_600))


every_policy = pytest.mark.parametrize("policy", [p for name, p in POLICIES.items() if name != "Cache"])


@every_policy
def test_it_holds_what_the_cache_holds(policy):
    cache = policy(3)
    store = CachetoolsCacheStore(cache)
    for i in range(20):
        put(store, str(i), "t", value=i)
        assert has(store, str(i))
        assert len(cache) == min(i + 1, 3)
    assert [has(store, str(i)) for i in range(20)].count(True) == 3


def test_the_policy_hears_of_every_hit():
    store = CachetoolsCacheStore(cachetools.LRUCache(2))
    put(store, "a")
    put(store, "b")
    assert has(store, "a")
    put(store, "c")
    assert [has(store, key) for key in "abc"] == [True, False, True]


def test_a_write_counts_as_one_use():
    store = CachetoolsCacheStore(cachetools.LFUCache(2))
    put(store, "b")
    for _ in range(3):
        put(store, "a")
        assert has(store, "b")
    put(store, "c")  # a was used three times, b four times
    assert [has(store, key) for key in "abc"] == [False, True, True]


@pytest.mark.slow
@every_policy
def test_what_is_evicted_is_freed_with_all_that_belongs_to_it(policy):
    class Value:
        pass

    store = CachetoolsCacheStore(policy(10))
    value = Value()
    freed = ref(value)
    put(store, "first", "t", value=value)
    del value
    for i in range(200):
        put(store, str(i), f"of:{i}", "all")
        store.read(place(f"missing{i}", f"seen{i}"), 0.0)
        store.invalidate([f"never{i}"])
        store.begin(place(f"begun{i}", f"seen{i}"), 0.0, True)
    gc.collect()
    assert freed() is None
    assert len(store._tags) == 11
    assert len(store._loads) == 0


@every_policy
def test_a_size_is_that_of_the_value(policy):
    asked = []
    cache = policy(10, getsizeof=lambda value: asked.append(value) or len(value))
    store = CachetoolsCacheStore(cache)
    for key, value in (("a", "xxx"), ("b", "xxxx"), ("a", "xx")):
        put(store, key, value=value)
    assert (cache.currsize, len(cache)) == (6, 2)
    assert asked == ["xxx", "xxxx", "xx"]
    assert has(store, "a")
    put(store, "c", value="x" * 9)
    assert (cache.currsize, len(cache)) == (9, 1)


def test_a_size_of_a_subclass_is_that_of_the_value():
    class Mine(cachetools.LRUCache):
        def getsizeof(self, value):
            return len(value)

    cache = Mine(10)
    put(CachetoolsCacheStore(cache), "k", value="xxx")
    assert cache.currsize == 3


@every_policy
def test_what_never_fits_takes_the_old_value_away(policy):
    store = CachetoolsCacheStore(policy(10, getsizeof=len))
    put(store, "k", value="old")
    snapshot = store.begin(place("k"), 0.0, True)
    assert not store.write(place("k"), Entry("x" * 11, expires=9.0), snapshot, 0.0)
    assert not has(store, "k")


def test_an_exception_that_is_kept_has_a_size_and_no_time_to_use():
    cache = cachetools.TLRUCache(10, lambda _key, value, now: now + len(value), getsizeof=len)
    face = Cache(CachetoolsCacheStore(cache))

    @face.cached(ttl=60, cache_exceptions=(KeyError,), exception_ttl=60)
    def load(n: int) -> str:
        raise KeyError(n)

    for _ in range(2):
        with pytest.raises(KeyError):
            load(1)
    assert (face.stats().loads, cache.currsize) == (1, 1)


def test_a_time_to_use_sees_key_and_value():
    clock = ManualClock()
    seen = []

    def ttu(key, value, now):
        seen.append((key, value))
        return now + value

    store = CachetoolsCacheStore(cachetools.TLRUCache(10, ttu, timer=clock))
    put(store, "k", value=5.0, ttl=100.0)
    assert seen == [("k", 5.0)]
    clock.advance(4.9)
    assert has(store, "k", 4.9)
    clock.advance(0.1)
    assert not has(store, "k", 5.0)


def test_a_value_that_is_not_to_be_used_takes_the_old_one_away():
    store = CachetoolsCacheStore(cachetools.TLRUCache(10, lambda _key, value, now: now + value))
    put(store, "k", value=5.0)
    assert not store.write(place("k"), Entry(-1.0, expires=9.0), None, 0.0)
    assert not has(store, "k")


@pytest.mark.parametrize("ttl", [2.0, 30.0])
def test_the_shorter_lifetime_counts(ttl):
    clock = ManualClock()
    store = CachetoolsCacheStore(cachetools.TTLCache(10, 10.0, timer=clock))
    put(store, "k", now=clock(), ttl=ttl)
    shorter = min(ttl, 10.0)
    clock.advance(shorter - 0.1)
    assert has(store, "k", clock())
    clock.advance(0.1)
    assert not has(store, "k", clock())


def test_what_the_cache_raises_a_write_raises():
    def fail(*_):
        raise ZeroDivisionError

    policy = [lambda *_: 1, fail]
    for cache in (
        cachetools.LRUCache(10, getsizeof=lambda value: policy[value](value)),
        cachetools.TLRUCache(10, lambda *args: policy[args[1]](*args) + args[2]),
    ):
        store = CachetoolsCacheStore(cache)
        put(store, "k", value=0)
        with pytest.raises(ZeroDivisionError):
            put(store, "k", value=1)
        put(store, "k", value=0)
        assert store.read(place("k"), 0.0).value == 0


@pytest.mark.parametrize("bad", [None, {}, cachetools.LRUCache, cachetools, "LRU"])
def test_something_else_is_refused(bad):
    with pytest.raises(ConfigurationError, match=r"expected cache as a cachetools cache, such as LRU"):
        CachetoolsCacheStore(bad)


def test_a_cache_without_room_is_refused():
    with pytest.raises(ConfigurationError, match=r"expected cache.maxsize > 0; got 0"):
        CachetoolsCacheStore(cachetools.LRUCache(0))


def test_a_cache_with_items_is_refused_without_showing_them():
    cache = cachetools.LRUCache(10)
    cache["secret"] = "secret"
    with pytest.raises(ConfigurationError, match=r"expected len\(cache\) of 0: a cache belongs .*; got 1"):
        CachetoolsCacheStore(cache)


def test_a_cache_of_another_store_is_refused():
    cache = cachetools.LRUCache(10)
    store = CachetoolsCacheStore(cache)
    with pytest.raises(ConfigurationError, match=r"expected cache of no other store"):
        CachetoolsCacheStore(cache)
    assert not has(store, "k")


@pytest.mark.parametrize(
    "end", [lambda s: s.invalidate(["t"]), lambda s: s.delete(["k"]), lambda s: put(s, "k")]
)
def test_what_is_ended_inside_a_call_is_found_no_more(end):
    store = CachetoolsCacheStore(cachetools.LRUCache(10))
    put(store, "k", "t", value="old")
    snapshot = store.begin(place("k", "t"), 0.0, False)
    with store._exclusive:
        assert not has(store, "k")
        assert not store.write(place("l"), Entry(1, expires=9.0), store.begin(place("l"), 0.0, False), 0.0)
        end(store)
        assert isinstance(store.read(place("k"), 0.0), Snapshot)
    assert not has(store, "k")
    assert not store.write(place("k", "t"), Entry("old", expires=9.0), snapshot, 0.0)


def test_a_value_whose_end_uses_the_cache_finds_it_whole():
    cache = cachetools.LRUCache(3)
    store = CachetoolsCacheStore(cache)

    class Value:
        def __del__(self):
            put(store, "from the grave", value=1)
            store.delete(["2"])

    for i in range(8):
        put(store, str(i), value=Value())
    store.delete(list(cache))
    assert len(cache) <= 1


def test_a_sync_face_finds_what_it_cached():
    cache = Cache(CachetoolsCacheStore(cachetools.LFUCache(10)))
    calls = []

    @cache.cached(ttl="1h", tags=["user:{user_id}"])
    def profile(user_id: int) -> int:
        calls.append(user_id)
        return user_id

    assert [profile(7), profile(user_id=7)] == [7, 7]
    cache.invalidate_tags("user:7")
    assert profile(7) == 7
    assert calls == [7, 7]


@pytest.mark.anyio
async def test_an_async_face_needs_no_other_store():
    cache = AsyncCache(CachetoolsCacheStore(cachetools.TTLCache(10, 60)))

    @cache.cached(ttl="1h")
    async def now(n: int) -> float:
        return n + time.monotonic()

    assert await now(1) == await now(1)
