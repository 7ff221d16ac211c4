"""The Redis stores on one server: what they send, what they refuse, and the faces on top of them."""

from __future__ import annotations

from dataclasses import dataclass

import fakeredis
import pytest
import redis
import redis.asyncio

from scalekit.cache import AsyncCache, Cache, Entry, _frame
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.errors import ConfigurationError, SerialisationError
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver
from tests.cache.redis_calls import NOW, SLOT, opened
from tests.cache.redis_store_tests import StoreTests


@pytest.fixture(params=["sync", "async"])
def calls(request, redis_server, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    with Driver() as driver:
        calls = opened(driver, request.param, redis_server.url)
        yield calls
        calls.close()


class TestOneServer(StoreTests):
    pass


# -- round trips --------------------------------------------------------------------------------------


def test_round_trips(calls):
    slot = place("shop:new", "shop:", "shop:a", "shop:b")
    assert calls.took("missed", slot) == [["MGET"], ["SET"] * 4 + ["MGET"]]
    assert calls.took("missed", slot) == [["MGET"], ["SET", "MGET"]]
    calls.put(1, slot=slot)  # the server may not know the script yet
    assert calls.took("write", slot, Entry(1, expires=NOW + 9), None, NOW) == [["EVALSHA"]]
    assert calls.took("value", slot) == [["MGET"]]
    assert calls.took("value", place(slot.key, "shop:")) == [["MGET"], ["MGET"]]
    assert calls.took("begin", slot, NOW, True) == [["SET"] * 4 + ["MGET"]]
    assert calls.took("delete", ["shop:new", "shop:other"]) == [["UNLINK"]]
    assert calls.took("invalidate", ["shop:a", "shop:b"]) == [["UNLINK"]]
    assert calls.took("delete", []) == calls.took("invalidate", []) == []


def test_a_batch_takes_as_many_round_trips_as_one(calls):
    slots = [place(f"shop:{i}", "shop:", f"shop:t{i}") for i in range(20)]
    assert calls.took("read_many", slots, NOW) == [["MGET"], ["SET"] * (20 + 21) + ["MGET"]]
    writes = [(slot, Entry(1, expires=NOW + 9), calls.missed(slot)) for slot in slots]
    calls.write_many(writes, NOW)
    assert calls.took("write_many", writes, NOW) == [["EVALSHA"] * 20]
    assert calls.took("read_many", slots, NOW) == [["MGET"]]
    assert calls.took("begin_many", slots, NOW, True) == [["SET"] * (20 + 21) + ["MGET"]]
    assert calls.took("read_many", [], NOW) == calls.took("write_many", [], NOW) == []
    assert calls.took("begin_many", [], NOW, True) == []


@pytest.mark.parametrize("ids", [2, 100])
def test_a_refresh_of_many_ids_is_two_round_trips(calls, ids):
    is_async = isinstance(calls.link, AsyncRedisLink)
    cache = (AsyncCache if is_async else Cache)(calls.store)

    def load(ids: list[int]) -> dict[int, int]:
        return {id_: id_ for id_ in ids}

    async def async_load(ids: list[int]) -> dict[int, int]:
        return load(ids)

    find = cache.cached_many(ttl=60, tags=["product:{id}"])(async_load if is_async else load)
    calls.driver(find.refresh, *range(ids))  # the server may not know the script yet
    calls.trips.clear()
    assert calls.driver(find.refresh, *range(ids)) == {id_: id_ for id_ in range(ids)}
    assert len(calls.trips) == 2


def ours(server):
    return {name: n for name, n in server.calls().items() if not name.startswith(("config", "info"))}


def test_a_hit_is_one_mget_on_the_server(calls, redis_server, starts_servers):
    calls.put("value")
    redis_server.cmd("CONFIG", "RESETSTAT")
    assert calls.value() == "value"
    assert ours(redis_server) == {"mget": 1}


def test_an_invalidation_is_one_command_however_many_entries(calls, redis_server, starts_servers):
    for i in range(50):
        calls.put(i, slot=place(f"shop:{i}", "shop:", "shop:t"))
    redis_server.cmd("CONFIG", "RESETSTAT")
    calls.invalidate(["shop:t"])
    assert ours(redis_server) == {"unlink": 1}
    calls.missed(place("shop:49", "shop:"))


def test_a_value_that_is_set_is_stored_whatever_happens_meanwhile(calls):
    """One script looks up the tags' tokens and stores: no load that begins meanwhile can keep it out."""
    calls.put("before")
    assert calls.took("write", SLOT, Entry("set", expires=NOW + 9), None, NOW) == [["EVALSHA"]]
    assert calls.value() == "set"


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "given", "complaint"),
    [
        (RedisCacheStore, "redis://h", r"a client of redis \(of a URL, RedisLink.from_url\(url\)\); got"),
        (AsyncRedisCacheStore, "redis://h", r"client of redis.asyncio \(of a URL, AsyncRedisLink.from_url\("),
        (RedisCacheStore, None, "a RedisLink or a client of redis; got None"),
        (RedisCacheStore, redis.asyncio.Redis(), r"client of redis \(AsyncRedisCacheStore takes those"),
        (RedisCacheStore, AsyncRedisLink(redis.asyncio.Redis()), r"redis \(AsyncRedisCacheStore takes those"),
        (AsyncRedisCacheStore, 5, "an AsyncRedisLink or a client of redis.asyncio; got 5"),
        (AsyncRedisCacheStore, redis.Redis(), r"client of redis.asyncio \(RedisCacheStore takes those"),
        (AsyncRedisCacheStore, RedisLink(redis.Redis()), r"redis.asyncio \(RedisCacheStore takes those"),
        (RedisCacheStore, redis.Redis(decode_responses=True), "decode_responses=False"),
        (AsyncRedisCacheStore, redis.asyncio.Redis(decode_responses=True), "decode_responses=False"),
        (
            AsyncRedisCacheStore,
            redis.asyncio.RedisCluster("localhost", decode_responses=True),
            "decode_responses=False",
        ),
    ],
)
def test_what_is_no_link_of_its_kind_is_refused(store, given, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        store(given)


@pytest.mark.parametrize("store", [RedisCacheStore, AsyncRedisCacheStore])
def test_a_wall_clock_must_be_callable(store):
    client = redis.Redis() if store is RedisCacheStore else redis.asyncio.Redis()
    with pytest.raises(ConfigurationError, match="wall_clock"):
        store(client, wall_clock=5)


def test_a_client_gets_a_link_with_defaults():
    link = RedisLink(redis.Redis())
    assert RedisCacheStore(link).link is link
    assert RedisCacheStore(fakeredis.FakeRedis()).link.timeout == link.timeout
    assert AsyncRedisCacheStore(fakeredis.FakeAsyncRedis()).link.timeout == link.timeout


def test_a_fake_server_will_do_for_tests_of_hits():
    with RedisLink(fakeredis.FakeRedis()) as link:
        store = RedisCacheStore(link)
        snapshot = store.read(SLOT, NOW)
        assert store.read_many([SLOT], NOW) == [snapshot]


# -- with the faces -----------------------------------------------------------------------------------


@dataclass
class Product:
    id: int
    sizes: tuple[int, ...]


def test_a_functions_values_are_typed_by_its_annotation(redis_server, key_prefix):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        cache = Cache(RedisCacheStore(link), namespace=key_prefix)
        loads = []

        @cache.cached(ttl="1h", tags=["product:{product_id}"], version="1(a)")
        def product(product_id: int) -> Product:
            loads.append(product_id)
            return Product(product_id, (1, 2))

        @cache.cached(ttl="1h")
        def price() -> float:
            return 3

        @cache.cached(ttl="1h")
        def wrong() -> int:
            return "text"  # type: ignore[return-value]

        assert product(7) == product(7) == Product(7, (1, 2))
        assert loads == [7]
        assert cache.get(product.key(7)) == Product(7, (1, 2)), "a call's key is a key like any other"
        cache.set(product.key(7), Product(7, ()), ttl="1h")
        assert product(7) == Product(7, ())
        cache.invalidate_tags("product:7")
        assert product(7).sizes == ()  # set() gave it no such tag
        product.refresh(7)
        cache.invalidate_tags("product:7")
        assert product(7) == Product(7, (1, 2))
        assert loads == [7, 7, 7]
        assert [type(price()) for _ in range(2)] == [int, int]
        with pytest.raises(SerialisationError, match="return what the annotation <class 'int'> says"):
            wrong()
        with pytest.raises(SerialisationError, match="annotate"):
            cache.get_or_set("k", lambda: (1,), ttl=1)
        assert cache.get_or_set("k", lambda: [1], ttl=60) == cache.get("k") == [1]
        cache.clear()
        assert cache.get("k") is None


@pytest.mark.anyio
async def test_the_async_face(redis_server, key_prefix):
    async with AsyncRedisLink.from_url(redis_server.url, timeout="5s") as link:
        cache = AsyncCache(AsyncRedisCacheStore(link), namespace=key_prefix)

        @cache.cached(ttl="1h", tags=["product:{product_id}"])
        async def product(product_id: int) -> Product:
            return Product(product_id, (len(seen), 2))

        seen = []
        assert await product(7) == Product(7, (0, 2))
        seen.append(1)
        assert await product(7) == await cache.get(product.key(7)) == Product(7, (0, 2))
        await cache.invalidate_tags("product:7")
        assert await product(7) == Product(7, (1, 2))
