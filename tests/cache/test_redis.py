"""The Redis stores against real servers: round trips, lifetimes, losses, damage, races, errors."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio

from scalekit.cache import AsyncCache, Cache, Entry, MsgspecSerializer, Slot, Snapshot, _frame
from scalekit.cache import redis as module
from scalekit.cache._frame import entry_name, load_name, tag_name
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.errors import BackendError, BackendTimeout, ConfigurationError, SerialisationError
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._cache_probe import place
from scalekit.testing._driver import Driver

NOW = 1_000.0
SLOT = place("shop:k", "shop:", "shop:t")
HOUR = 3_600_000


class Calls:
    """A store's methods, sync or async, and the round trips that they took."""

    def __init__(self, driver, store):
        self.driver, self.store, self.trips = driver, store, []
        pipeline = store.link.pipeline

        def counted(commands):
            self.trips.append([command[0] for command in commands])
            return pipeline(commands)

        store.link.pipeline = counted

    def __getattr__(self, name):
        return lambda *args: self.driver(getattr(self.store, name), *args)

    def put(self, value, *, slot=SLOT, ttl=60.0, snapshot=None):
        return self.write(slot, Entry(value, expires=NOW + ttl), snapshot, NOW)

    def value(self, slot=SLOT):
        found = self.read(slot, NOW)
        return found.value if isinstance(found, Entry) else found

    def missed(self, slot=SLOT):
        found = self.read(slot, NOW)
        assert isinstance(found, Snapshot), found
        return found

    def took(self, method, *args):
        """Return what each round trip of a call was made of."""
        self.trips.clear()
        getattr(self, method)(*args)
        return list(self.trips)


def stores(kind, url, **options):
    link = (RedisLink if kind == "sync" else AsyncRedisLink).from_url(url, **{"timeout": "5s"} | options)
    return (RedisCacheStore if kind == "sync" else AsyncRedisCacheStore)(link)


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def client(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def calls(kind, redis_server, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    with Driver() as driver:
        calls = Calls(driver, stores(kind, redis_server.url))
        yield calls
        driver(calls.store.link.close if kind == "sync" else calls.store.link.aclose)


# -- round trips --------------------------------------------------------------------------------------


def test_round_trips(calls):
    slot = place("shop:new", "shop:", "shop:a", "shop:b")
    assert calls.took("missed", slot) == [["MGET"], ["SET"] * 4 + ["MGET"]]
    assert calls.took("missed", slot) == [["MGET"]]
    calls.put(1, slot=slot)  # the server may not know the script yet
    assert calls.took("write", slot, Entry(1, expires=NOW + 9), None, NOW) == [["EVALSHA"]]
    assert calls.took("value", slot) == [["MGET"]]
    assert calls.took("value", place(slot.key, "shop:")) == [["MGET"], ["MGET"]]
    assert calls.took("begin", slot, NOW, True) == [["SET"] * 4 + ["MGET"]]
    assert calls.took("delete", ["shop:new", "shop:other"]) == [["UNLINK"]]
    assert calls.took("invalidate", ["shop:a", "shop:b"]) == [["UNLINK"]]
    assert calls.took("delete", []) == calls.took("invalidate", []) == []


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


def test_a_script_that_the_server_forgot_is_sent_again(calls, client):
    calls.put(1)
    client.script_flush()
    assert calls.took("write", SLOT, Entry(2, expires=NOW + 9), None, NOW) == [["EVALSHA"], ["EVAL"]]
    assert calls.value() == 2


# -- lifetimes ----------------------------------------------------------------------------------------


def test_entries_and_tags_live_by_the_servers_clock(calls, client):
    names = [load_name(SLOT.key), *map(tag_name, SLOT.tags)]
    for ttl in (0.5, 60.0, 86_400.0 * 30):
        for begun in (False, True):
            assert calls.put("value", ttl=ttl, snapshot=calls.begin(SLOT, NOW, True) if begun else None)
            assert 0 < client.pttl(entry_name(SLOT.key)) <= ttl * 1_000
            for name in names:
                assert client.pttl(name) >= 2 * ttl * 1_000 + HOUR / 2 - 1_000


def test_tags_are_renewed_by_writes_when_half_of_their_time_is_gone(calls, client):
    calls.put("long", ttl=7_200.0)
    before = client.pttl(tag_name("shop:t"))
    calls.put("short", slot=place("shop:other", "shop:t"), ttl=1.0)
    assert before - 5_000 < client.pttl(tag_name("shop:t")) <= before, "what is enough is left alone"
    for name in map(tag_name, SLOT.tags):
        client.pexpire(name, 10_000)
    calls.put("long", ttl=7_200.0)
    for name in map(tag_name, SLOT.tags):
        assert client.pttl(name) > 4 * 7_200_000


def test_tokens_that_a_miss_made_do_not_stay_for_ever(calls, client):
    calls.missed()
    for name in (load_name(SLOT.key), *map(tag_name, SLOT.tags)):
        assert HOUR - 10_000 < client.pttl(name) <= HOUR


@pytest.mark.parametrize("skew", [-86_400.0, 0.0, 86_400.0])
def test_an_entry_says_what_is_left_within_its_life_whatever_the_clocks_say(redis_server, key_prefix, skew):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        slot = place(key_prefix)
        RedisCacheStore(link, wall_clock=lambda: 1e6).write(slot, Entry(1, expires=NOW + 60), None, NOW)
        entry = RedisCacheStore(link, wall_clock=lambda: 1e6 + 15 + skew).read(slot, 5_000.0)
    assert entry.expires == pytest.approx(5_000.0 + {-86_400.0: 60, 0.0: 45, 86_400.0: 0}[skew])


# -- losses and damage --------------------------------------------------------------------------------


def test_an_evicted_tag_costs_a_load_and_never_brings_anything_back(calls, client):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, True)
    client.delete(tag_name("shop:t"))
    calls.missed()
    assert not calls.put("stale", snapshot=snapshot)
    calls.missed()
    assert calls.put("new", snapshot=calls.missed())
    assert calls.value() == "new"


def test_an_evicted_token_of_loads_costs_the_load_alone(calls, client):
    calls.put("value")
    snapshot = calls.begin(SLOT, NOW, True)
    client.delete(load_name(SLOT.key))
    assert not calls.put("lost", snapshot=snapshot)
    assert calls.value() == "value"


def test_a_token_evicted_while_it_is_made_is_never_found_by_a_write(calls, client, monkeypatch):
    monkeypatch.setattr(module, "_made", lambda name: ("TTL", name))
    snapshot = calls.missed()
    assert None not in snapshot
    assert calls.begin(SLOT, NOW, True) != snapshot
    assert not calls.put("value", snapshot=snapshot)


def test_a_damaged_entry_is_a_miss_and_is_replaced(calls, client):
    calls.put({"a": [1, 2]})
    name = entry_name(SLOT.key)
    whole = client.get(name)
    for at in range(len(whole)):
        client.set(name, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        calls.missed()
    for damaged in (b"", whole[:-1], whole * 2, b"\x00" * 100):
        client.set(name, damaged)
        calls.missed()
    client.delete(name)
    client.rpush(name, "a list")
    assert calls.put("new", snapshot=calls.missed())
    assert calls.value() == "new"


def test_what_the_serializer_cannot_read_is_a_miss(calls):
    class Stubborn(MsgspecSerializer):
        def loads(self, data, /):
            raise ValueError("not mine")

    calls.put("value", slot=SLOT._replace(serializer=Stubborn(Any)))
    calls.missed(SLOT._replace(serializer=Stubborn(Any)))
    assert calls.value() == "value"


def test_another_return_type_is_a_miss(calls):
    as_int, as_text = (SLOT._replace(serializer=MsgspecSerializer(kind)) for kind in (int, str))
    calls.put(1, slot=as_int)
    assert calls.value(as_int) == 1
    calls.put("1", slot=as_text, snapshot=calls.missed(as_text))
    assert calls.value(as_text) == "1"
    calls.missed(as_int)


def test_a_value_that_cannot_be_stored_leaves_everything_alone(calls):
    calls.put("old")
    snapshot = calls.begin(SLOT, NOW, True)
    with pytest.raises(SerialisationError):
        calls.put((1, 2))
    assert calls.value() == "old"
    assert calls.put("new", snapshot=snapshot)
    assert calls.put(object(), ttl=0.0), "what is not kept need not be written"


# -- races --------------------------------------------------------------------------------------------


def test_a_value_that_is_set_is_stored_whatever_happens_meanwhile(calls):
    """One script looks up the tags' tokens and stores: no load that begins meanwhile can keep it out."""
    calls.put("before")
    assert calls.took("write", SLOT, Entry("set", expires=NOW + 9), None, NOW) == [["EVALSHA"]]
    assert calls.value() == "set"


UPDATER = """
import sys
import time
import redis
from scalekit.cache import _frame
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink
_, url, prefix, rounds = sys.argv
_frame.PREFIX = prefix
deadline = time.monotonic() + 30
client = redis.Redis.from_url(url)
with client, RedisLink.from_url(url, timeout="5s") as link:
    store = RedisCacheStore(link)
    for i in range(int(rounds)):
        version = client.incr(prefix + "source")
        match i % 4:
            case 0: store.delete(["shop:k"])
            case 1: client.delete(_frame.tag_name("shop:t"))
            case _: store.invalidate(["shop:t" if i % 4 == 2 else "shop:"])
        client.set(prefix + "committed", version)
        while i % 3 == 0 and int(client.get(prefix + "served") or 0) < version:
            assert time.monotonic() < deadline, "nobody reads"
    client.set(prefix + "done", 1)
"""


def test_two_processes_race_and_nothing_stale_is_served(redis_server, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    stale, hits, errors = [], [], []

    def reader():
        try:
            with (
                redis.Redis.from_url(redis_server.url) as client,
                RedisLink.from_url(redis_server.url, timeout="5s") as link,
            ):
                store = RedisCacheStore(link)
                while not client.exists(key_prefix + "done"):
                    oldest = int(client.get(key_prefix + "committed") or 0)
                    found = store.read(SLOT, NOW)
                    if isinstance(found, Entry):
                        hits.append(found.value)
                        client.set(key_prefix + "served", found.value)
                        if found.value < oldest:
                            stale.append((found.value, oldest))
                    else:
                        value = int(client.get(key_prefix + "source") or 0)
                        client.ping()
                        store.write(SLOT, Entry(value, expires=NOW + 60), found, NOW)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    updater = [sys.executable, "-c", UPDATER, redis_server.url, key_prefix, "150"]
    try:
        subprocess.run(updater, check=True, timeout=40)
    finally:
        with redis.Redis.from_url(redis_server.url) as client:
            client.set(key_prefix + "done", 1)
        for thread in threads:
            thread.join()
    assert not errors
    assert not stale, f"(served, committed before): {stale[:5]}"
    assert len(set(hits)) > 10, "the race never happened"


# -- errors -------------------------------------------------------------------------------------------


def test_a_frozen_server_is_a_timeout_whatever_is_asked(kind, own_redis):
    with Driver() as driver:
        calls = Calls(driver, stores(kind, own_redis.url, timeout="100ms", breaker_failures=100))
        calls.put("value")
        snapshot = calls.begin(SLOT, NOW, True)
        own_redis.freeze()
        for method, *args in [
            ("read", SLOT, NOW),
            ("begin", SLOT, NOW, True),
            ("write", SLOT, Entry(1, expires=NOW + 9), snapshot, NOW),
            ("delete", [SLOT.key]),
            ("invalidate", [*SLOT.tags]),
        ]:
            with pytest.raises(BackendTimeout, match="no answer within 100 ms"):
                getattr(calls, method)(*args)
        own_redis.thaw()
        driver(calls.store.link.close if kind == "sync" else calls.store.link.aclose)


def test_an_error_of_the_server_is_not_disguised(calls, client):
    client.rpush(tag_name("shop:t"), "a list")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        calls.put("value")


@pytest.mark.parametrize(
    ("store", "given", "complaint"),
    [
        (RedisCacheStore, "redis://localhost", "a RedisLink or a client of redis; got"),
        (RedisCacheStore, None, "a RedisLink or a client of redis; got None"),
        (RedisCacheStore, redis.asyncio.Redis(), r"client of redis \(AsyncRedisCacheStore takes those"),
        (RedisCacheStore, AsyncRedisLink(redis.asyncio.Redis()), r"redis \(AsyncRedisCacheStore takes those"),
        (AsyncRedisCacheStore, 5, "an AsyncRedisLink or a client of redis.asyncio; got 5"),
        (AsyncRedisCacheStore, redis.Redis(), r"client of redis.asyncio \(RedisCacheStore takes those"),
        (AsyncRedisCacheStore, RedisLink(redis.Redis()), r"redis.asyncio \(RedisCacheStore takes those"),
        (RedisCacheStore, redis.Redis(decode_responses=True), "decode_responses=False"),
    ],
)
def test_what_is_no_link_of_its_kind_is_refused(store, given, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        store(given)


def test_a_wall_clock_must_be_callable():
    with pytest.raises(ConfigurationError, match="wall_clock"):
        RedisCacheStore(redis.Redis(), wall_clock=5)


def test_a_cluster_is_refused_for_now(monkeypatch):
    cluster = redis.asyncio.RedisCluster("localhost")  # not connected before its first command
    for given in (cluster, AsyncRedisLink(cluster)):
        with pytest.raises(ConfigurationError, match="AsyncRedisCacheStore will learn Redis Cluster later"):
            AsyncRedisCacheStore(given)
    monkeypatch.setattr(RedisLink, "cluster", property(lambda _: True))
    with pytest.raises(ConfigurationError, match="RedisCacheStore will learn Redis Cluster later"):
        RedisCacheStore(redis.Redis())


def test_a_client_gets_a_link_with_defaults():
    link = RedisLink(redis.Redis())
    assert RedisCacheStore(link).link is link
    assert RedisCacheStore(fakeredis.FakeRedis()).link.timeout == link.timeout
    assert AsyncRedisCacheStore(fakeredis.FakeAsyncRedis()).link.timeout == link.timeout


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


def test_a_slot_has_a_serializer():
    assert Slot("k", (), MsgspecSerializer(Any)).serializer.fingerprint == place("k").serializer.fingerprint
