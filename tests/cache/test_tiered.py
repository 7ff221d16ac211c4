"""The tiered stores against real servers: what the near tier answers, and what ends that."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time

import pytest
import redis.asyncio

from scalekit.cache import (
    AsyncCache,
    AsyncTieredCacheStore,
    Cache,
    Entry,
    IndexedCacheStore,
    LeasingCacheStore,
    MemoryCacheStore,
    TieredCacheStore,
    _frame,
)
from scalekit.cache._frame import entry_name
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.errors import BackendError, ConfigurationError
from scalekit.redis import RedisLink
from scalekit.testing import ManualClock
from scalekit.testing._cache_probe import place
from tests.cache.tiers import SLOT, Tiers
from tests.servers.lifeline import wait_until


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture(autouse=True)
def _apart(key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)


@pytest.fixture
def tiers(kind, redis_server):
    with Tiers(kind, redis_server.url) as tiers:
        yield tiers.start()


@pytest.fixture
def other(redis_server):
    """Another process's store, as far as this one can tell."""
    with Tiers("sync", redis_server.url) as other:
        yield other


# -- answers ----------------------------------------------------------------------------------------


def test_a_value_read_twice_is_read_once(tiers, other):
    other.put(["value"], store=other.far)
    tiers.until_held()
    first = tiers.read()
    second, trips = tiers.took(tiers.read)
    assert (second.value, trips) == (["value"], 0)
    assert second.value is first.value
    assert second.expires == first.expires


def test_an_own_value_is_kept_when_it_is_read_not_when_it_is_written(tiers):
    tiers.put("value")
    assert len(tiers.near) == 0
    tiers.until_held()
    assert tiers.value() == "value"


def test_a_miss_takes_the_far_stores_snapshot(tiers):
    snapshot = tiers.missed()
    assert snapshot == tiers.call(tiers.far.read, SLOT, time.monotonic())
    assert tiers.put("value", snapshot=snapshot)
    assert tiers.value() == "value"


def test_without_l1_the_far_store_answers_and_nothing_is_kept(tiers):
    strict = SLOT._replace(l1=False)
    tiers.put("value")
    for _ in range(3):
        assert tiers.took(tiers.value, strict) == ("value", 1)
    assert len(tiers.near) == 0
    tiers.until_held()
    assert tiers.took(tiers.value, strict) == ("value", 1)


def test_an_entry_whose_tags_the_slot_does_not_name_is_not_kept(tiers):
    tiers.put("value")
    unnamed = SLOT._replace(tags=SLOT.tags[:1])
    for _ in range(3):
        assert tiers.took(tiers.value, unnamed)[0] == "value"
    assert len(tiers.near) == 0


def test_a_stale_entry_comes_from_the_far_store_with_what_its_reload_starts_from(tiers):
    tiers.put("stale", fresh=0.0)
    for _ in range(2):
        found, trips = tiers.took(tiers.read)
        assert (found.value, trips) == ("stale", 1)
        assert tiers.put("new", snapshot=found.snapshot, fresh=0.0)
        tiers.put("stale", fresh=0.0)


def test_many_are_read_near_first_and_the_rest_in_one_trip(kind, redis_server, other):
    with Tiers(kind, redis_server.url) as tiers:
        tiers.start()
        batching(tiers)
        slots = [place(f"shop:{i}", "shop:") for i in range(6)]
        for i, slot in enumerate(slots[:4]):
            other.put(i, slot, store=other.far)
        for slot in slots[:2]:
            tiers.until_held(slot)
        many = [slots[5], slots[0], slots[3], slots[1], slots[2], slots[3]._replace(l1=False)]
        tiers.asked.clear()
        found = tiers.call(tiers.store.read_many, many, time.monotonic())
        assert [getattr(each, "value", None) for each in found] == [None, 0, 3, 1, 2, 3]
        assert tiers.asked == [["shop:5", "shop:3", "shop:2", "shop:3"]]
        assert all(tiers.held(slot) for slot in slots[:4])
        assert tiers.call(tiers.store.read_many, slots[:2], time.monotonic())[1].value == 1
        assert tiers.call(tiers.store.read_many, [], time.monotonic()) == []
        assert len(tiers.asked) == 1


def test_many_are_written_and_their_copies_go(kind, redis_server):
    with Tiers(kind, redis_server.url) as tiers:
        tiers.start()
        batching(tiers)
        slots = [place(f"shop:{i}", "shop:") for i in range(3)]
        for slot in slots:
            tiers.put("old", slot)
            tiers.until_held(slot)
        now = time.monotonic()
        snapshots = [tiers.call(tiers.store.begin, slot, now, False) for slot in slots]
        tiers.call(tiers.store.delete, [slots[1].key])
        writes = [
            (slot, Entry(i, expires=now + 60), snapshot)
            for i, (slot, snapshot) in enumerate(zip(slots, snapshots, strict=True))
        ]
        assert tiers.call(tiers.store.write_many, writes, now) == [True, False, True]
        assert tiers.call(tiers.store.begin_many, slots, now, False)[::2] == snapshots[::2]
        assert tiers.call(tiers.store.begin_many, slots, now, True)[0] != snapshots[0]
        assert [tiers.value(slot) for slot in slots] == [0, None, 2]


def batching(tiers):
    """Give the far store methods for many, if it has none, and note what is asked of it."""
    far = tiers.far
    tiers.asked = []
    if tiers.kind == "sync":

        def read_many(slots, now):
            tiers.asked.append([slot.key for slot in slots])
            return [far.read(slot, now) for slot in slots]

        def write_many(writes, now):
            return [far.write(slot, entry, snapshot, now) for slot, entry, snapshot in writes]

    else:

        async def read_many(slots, now):
            tiers.asked.append([slot.key for slot in slots])
            return [await far.read(slot, now) for slot in slots]

        async def write_many(writes, now):
            return [await far.write(slot, entry, snapshot, now) for slot, entry, snapshot in writes]

    far.read_many, far.write_many = read_many, write_many


def test_leases_are_the_far_stores(tiers, other):
    assert tiers.call(tiers.store.acquire, "shop:k", b"me", 60.0)
    assert not other.far.acquire("shop:k", b"other", 60.0)
    tiers.call(tiers.store.wait, "shop:k", 0.001)
    tiers.call(tiers.store.release, "shop:k", b"me")
    tiers.call(tiers.store.wait, "shop:k", 60.0)
    assert other.far.acquire("shop:k", b"other", 60.0)


# -- what others change -----------------------------------------------------------------------------

OTHERS = {
    "an entry written": lambda far: far.write(
        SLOT, Entry("new", expires=time.monotonic() + 60), None, time.monotonic()
    ),
    "an entry deleted": lambda far: far.delete([SLOT.key]),
    "a tag invalidated": lambda far: far.invalidate(["shop:t"]),
    "the namespace cleared": lambda far: far.invalidate(["shop:"]),
}


@pytest.mark.parametrize("change", OTHERS)
def test_what_another_process_changes_is_heard(tiers, other, change):
    other.put("old", store=other.far)
    tiers.until_held()
    OTHERS[change](other.far)
    tiers.until_gone()
    assert tiers.value() == ("new" if change == "an entry written" else None)


def test_an_entry_of_a_long_name_is_heard_of_as_well(tiers, other):
    slot = place("shop:" + "k" * 500, "shop:", "shop:" + "t" * 500)
    for change in (lambda: other.far.delete([slot.key]), lambda: other.far.invalidate(slot.tags[1:])):
        other.put("old", slot, store=other.far)
        tiers.until_held(slot)
        change()
        tiers.until_gone(slot)


@pytest.mark.parametrize("how", ["flush", "unlink the entry", "unlink the token"])
def test_what_the_server_loses_is_heard(tiers, other, how, redis_server, starts_servers):
    other.put("old", store=other.far)
    tiers.until_held()
    words = {
        "flush": ["FLUSHALL"],
        "unlink the entry": ["UNLINK", entry_name(SLOT.key)],
        "unlink the token": ["DEL", _frame.tag_name("shop:t")],
    }
    redis_server.cmd(*words[how])
    tiers.until_gone()
    assert tiers.value() is None


def test_losing_the_scripts_changes_nothing(tiers, redis_server, starts_servers):
    tiers.put("old")
    tiers.until_held()
    redis_server.cmd("SCRIPT", "FLUSH")
    assert tiers.held()
    assert tiers.put("new")
    assert tiers.value() == "new"


# -- what this process changes ----------------------------------------------------------------------

OWN = {
    "write": lambda tiers: tiers.put("new"),
    "delete": lambda tiers: tiers.call(tiers.store.delete, [SLOT.key]),
    "invalidate": lambda tiers: tiers.call(tiers.store.invalidate, ["shop:t"]),
    "clear": lambda tiers: tiers.call(tiers.store.invalidate, ["shop:"]),
}


@pytest.fixture
def deaf(tiers, monkeypatch):
    """No announcement reaches the near tier: what this process changes must not depend on any."""
    monkeypatch.setattr(type(tiers.store._near), "changed", lambda *_: None)
    return tiers


@pytest.mark.parametrize("change", OWN)
def test_what_this_process_changes_is_seen_at_once(deaf, change):
    for _ in range(20):
        deaf.put("old")
        deaf.until_held()
        OWN[change](deaf)
        assert deaf.value() == ("new" if change == "write" else None)


@pytest.mark.parametrize("change", OWN)
def test_an_answer_from_before_an_own_change_is_not_kept_after_it(deaf, change):
    """Rule 2: a thread or task asked before the change, and comes with its answer when that has returned."""
    deaf.put("old")
    answered, resume = threading.Event(), threading.Event()
    read = deaf.far.read
    if deaf.kind == "sync":

        def late(slot, now):
            found = read(slot, now)
            answered.set()
            assert resume.wait(20)
            return found

    else:

        async def late(slot, now):
            import asyncio

            found = await read(slot, now)
            answered.set()
            while not resume.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return found

    deaf.far.read = late
    reader = threading.Thread(target=deaf.read)
    reader.start()
    assert answered.wait(20)
    deaf.far.read = read
    OWN[change](deaf)
    resume.set()
    reader.join()
    assert len(deaf.near) == 0
    assert deaf.value() == ("new" if change == "write" else None)


@pytest.mark.parametrize("change", OTHERS)
def test_an_answer_from_before_anothers_change_is_not_kept_after_its_announcement(tiers, other, change):
    """Rule 1, with a server: the answer comes late, the announcement has long been heard."""
    other.put("old", store=other.far)
    heard = []
    changed = tiers.store._near.changed

    def noted(names):
        changed(names)
        heard.extend(names or [None])

    read = tiers.far.read

    def change_and_wait():
        heard.clear()
        OTHERS[change](other.far)
        wait_until(lambda: heard, "it is heard")

    if tiers.kind == "sync":

        def late(slot, now):
            found = read(slot, now)
            change_and_wait()
            return found

    else:

        async def late(slot, now):
            import anyio.to_thread

            found = await read(slot, now)
            await anyio.to_thread.run_sync(change_and_wait)
            return found

    tiers.store._near.changed = noted
    tiers.far.read = late
    assert tiers.value() == "old", "it began before the change"
    tiers.far.read = read
    assert len(tiers.near) == 0
    assert tiers.value() == ("new" if change == "an entry written" else None)


# -- cached functions -------------------------------------------------------------------------------


def test_a_cached_functions_hits_do_not_leave_the_process(redis_server, other):
    with Tiers("sync", redis_server.url) as tiers:
        tiers.start()
        cache = Cache(tiers.store, namespace="shop")
        loads = []

        @cache.cached(ttl="1h", tags=["user:{user_id}"])
        def profile(user_id: int) -> int:
            loads.append(user_id)
            return user_id * 10

        def quiet():
            before = tiers.trips
            assert [profile(7) for _ in range(50)] == [70] * 50
            return tiers.trips == before

        wait_until(quiet, "the near tier answers")
        assert loads == [7]
        other.far.invalidate(["shop:user:7"])

        def reloaded():
            assert profile(7) == 70
            return loads == [7, 7]

        wait_until(reloaded, "the invalidation is heard")
        wait_until(quiet, "the near tier answers again")
        cache.invalidate_tags("user:7")
        assert profile(7) == 70
        assert loads == [7, 7, 7], "an own invalidation is seen at once"


def test_an_async_cached_functions_hits_do_not_leave_the_process(redis_server, other):
    with Tiers("async", redis_server.url) as tiers:
        tiers.start()
        cache = AsyncCache(tiers.store, namespace="shop")
        loads = []

        @cache.cached(ttl="1h", tags=["user:{user_id}"])
        async def profile(user_id: int) -> int:
            loads.append(user_id)
            return user_id * 10

        async def fifty():
            return [await profile(7) for _ in range(50)]

        def quiet():
            before = tiers.trips
            assert tiers.call(fifty) == [70] * 50
            return tiers.trips == before

        wait_until(quiet, "the near tier answers")
        assert loads == [7]
        other.far.invalidate(["shop:user:7"])
        wait_until(lambda: tiers.call(fifty) and loads == [7, 7], "the invalidation is heard")
        wait_until(quiet, "the near tier answers again")
        tiers.call(cache.invalidate_tags, "user:7")
        tiers.call(fifty)
        assert loads == [7, 7, 7]


def test_while_an_invalidation_is_queued_the_far_tier_answers_and_nothing_is_loaded(tiers, kind):
    """A copy near by does not say whether it carries the queued tag, but the far tier's entry does."""
    sync = kind == "sync"
    cache = (Cache if sync else AsyncCache)(tiers.store, namespace="shop", on_error_invalidate="queue")
    loads = []

    def load():
        loads.append(1)
        return "value"

    async def async_load():
        return load()

    function = cache.cached(ttl="1h", tags=["t"])(load if sync else async_load)
    assert tiers.call(function) == "value"
    tiers.value(place(f"shop:{function.key()}", "shop:", "shop:t"))  # a copy is made

    def fails(tags):
        raise BackendError("redis", "invalidate", "injected fault")

    tiers.far.invalidate = fails
    tiers.call(cache.invalidate_tags, "other")
    assert [tiers.call(function) for _ in range(20)] == ["value"] * 20
    assert loads == [1]
    tiers.call(cache.invalidate_tags, "t")
    assert tiers.call(function) == "value"
    assert loads == [1, 1], "what carries a queued tag is not believed"


def test_with_a_manual_clock_silence_counts_in_real_time(redis_server, monkeypatch):
    from scalekit.cache.tiered import _near

    late = [0.0]
    monkeypatch.setattr(_near, "monotonic", lambda: time.monotonic() + late[0])
    with Tiers("sync", redis_server.url, max_staleness="10m") as tiers:
        tiers.start()
        cache = Cache(tiers.store, namespace="shop", clock=ManualClock())

        @cache.cached(ttl="1h")
        def double(number: int) -> int:
            return number * 2

        def quiet():
            before = tiers.trips
            return [double(1) for _ in range(5)] == [2] * 5 and tiers.trips == before

        wait_until(quiet, "the near tier answers")
        late[0] = 601.0
        before = tiers.trips
        assert double(1) == 2
        assert tiers.trips == before + 1


# -- trouble ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_while_the_server_is_frozen_copies_serve_until_max_staleness(kind, own_redis):
    with Tiers(kind, own_redis.url, max_staleness="2s", timeout="250ms") as tiers:
        tiers.start()
        tiers.put("value")
        tiers.until_held()
        own_redis.freeze()
        served = 0
        while tiers.store.coherent:
            with contextlib.suppress(BackendError):  # it has just ended to be
                served += tiers.held()
        assert served > 0
        with pytest.raises(BackendError):
            tiers.read()
        own_redis.thaw()

        def well():
            try:
                return tiers.value() == "value" and tiers.held()
            except BackendError:
                return False

        wait_until(well, "all is well again")


def test_what_was_invalidated_while_the_server_did_not_answer_us_is_never_served(
    kind, own_redis, monkeypatch
):
    from scalekit.redis import _session

    monkeypatch.setattr(_session, "_PATIENCE", 600.0)
    with Tiers(kind, own_redis.url, max_staleness="100ms") as tiers, Tiers("sync", own_redis.url) as other:
        tiers.start()
        tiers.put("old")
        tiers.until_held()
        for _ in range(3):
            own_redis.freeze()
            invalidating = threading.Thread(target=other.far.invalidate, args=(["shop:t"],))
            invalidating.start()
            wait_until(lambda: not tiers.store.coherent, "it is silent for too long")
            own_redis.thaw()
            invalidating.join()
            # The answer to a probe from before the invalidation makes the tier coherent, too, for what is left  # noqa: E501
            # of `max_staleness` since. From the next one on nothing from before is served.
            tiers.until_proven(time.monotonic())
            assert tiers.value() is None
            tiers.put("old")
            tiers.until_held()


@pytest.mark.parametrize("how", ["kill", "restart", "client kill"])
def test_a_lost_connection_ends_the_copies_at_once(kind, own_redis, how):
    with Tiers(kind, own_redis.url) as tiers:
        tiers.start()
        tiers.put("value")
        tiers.until_held()
        if how == "client kill":
            own_redis.cmd("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        else:
            own_redis.kill()
        tiers.until_gone()
        if how == "kill":
            assert not tiers.store.coherent
            with pytest.raises(BackendError):
                tiers.read()
            own_redis.start()
        elif how == "restart":
            own_redis.start()
        wait_until(lambda: tiers.store.coherent, "another connection is made")

        def found():
            try:
                return tiers.value() or "nothing"
            except BackendError:  # of the connections that the link had
                return None

        expected = "value" if how == "client kill" else "nothing"
        wait_until(lambda: found() == expected, "the far store answers")
        tiers.put("new")
        tiers.until_held()


def test_an_invalidation_that_fails_drops_the_copies_all_the_same(kind, own_redis):
    with Tiers(kind, own_redis.url, timeout="250ms") as tiers:
        tiers.start()
        tiers.put("value")
        tiers.until_held()
        own_redis.freeze()
        with pytest.raises(BackendError):
            tiers.call(tiers.store.invalidate, ["shop:t"])
        assert tiers.gone()
        own_redis.thaw()


def test_before_the_first_connection_and_without_any_the_far_store_answers(kind, own_redis, caplog):
    own_redis.cmd("ACL", "SETUSER", "app", "on", ">geheim", "~*", "&*", "+@all", "-client|tracking")
    with Tiers(kind, f"redis://app:geheim@127.0.0.1:{own_redis.port}") as tiers:
        tiers.put("value")
        for _ in range(3):
            assert tiers.took(tiers.value) == ("value", 1)
        assert not tiers.store.coherent
        wait_until(lambda: tiers.call(lambda: tiers.store.listening_error) is not None, "it was refused")
        assert "client|tracking" in str(tiers.call(lambda: tiers.store.listening_error))
        wait_until(lambda: own_redis.calls().get("hello", 0) > 3, "it tries again and again")
        own_redis.cmd("ACL", "SETUSER", "app", "+client|tracking")
        wait_until(lambda: tiers.call(lambda: tiers.store.coherent), "it is allowed now")
        assert tiers.call(lambda: tiers.store.listening_error) is None
    [record] = caplog.records
    assert (record.name, record.levelname) == ("scalekit", "WARNING")
    assert "client|tracking" in record.getMessage()


def test_there_is_no_error_where_nothing_went_wrong(kind, redis_url):
    with Tiers(kind, redis_url) as tiers:
        assert tiers.call(lambda: tiers.store.listening_error) is None
        tiers.start()
        assert tiers.call(lambda: tiers.store.listening_error) is None


def test_the_child_of_a_fork_makes_its_own(redis_url, key_prefix):
    script = f"""
import os, time
from scalekit.cache import Cache, Entry, _frame
_frame.PREFIX = {key_prefix!r}
from tests.cache.tiers import SLOT, Tiers
from tests.servers.lifeline import wait_until
with Tiers("sync", {redis_url!r}) as tiers, Tiers("sync", {redis_url!r}) as other:
    tiers.start()
    tiers.put("old")
    tiers.until_held()
    child = os.fork()
    if child == 0:
        assert not tiers.store.coherent
        assert tiers.value() == "old"
        other.far.invalidate(["shop:t"])
        wait_until(lambda: tiers.value() is None, "the far store says so")
        wait_until(lambda: tiers.store.coherent, "it has a connection of its own")
        tiers.put("new")
        tiers.until_held()
        tiers.link.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wait_until(lambda: tiers.value() == "new", "the parent hears of its child")
    assert tiers.store.coherent
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=False, timeout=50, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_two_event_loops_in_turn(redis_url, key_prefix):
    script = f"""
import asyncio, gc, logging, time
from scalekit.cache import AsyncTieredCacheStore, Entry, MemoryCacheStore, _frame
_frame.PREFIX = {key_prefix!r}
from scalekit.cache.redis import AsyncRedisCacheStore
from scalekit.redis import AsyncRedisLink
from tests.cache.tiers import SLOT
logging.getLogger("asyncio").setLevel("ERROR")
near = MemoryCacheStore()
link = AsyncRedisLink.from_url({redis_url!r}, timeout="5s")
store = AsyncTieredCacheStore(near, AsyncRedisCacheStore(link), max_staleness="1h")
async def main(value):
    now = time.monotonic()
    await store.write(SLOT, Entry(value, expires=now + 60), None, now)
    while not len(near):
        found = await store.read(SLOT, time.monotonic())
        assert found.value == value
        await asyncio.sleep(0.001)
    assert store.coherent
for value in range(3):
    asyncio.run(main(value))
    assert not store.coherent
del store, link, near
gc.collect()
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=False, timeout=50, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# -- arguments --------------------------------------------------------------------------------------


def test_what_it_is_to_the_faces(redis_url):
    with RedisLink.from_url(redis_url) as link:
        store = TieredCacheStore(MemoryCacheStore(), RedisCacheStore(link))
        assert isinstance(store, IndexedCacheStore)
        assert isinstance(store, LeasingCacheStore)
        with pytest.raises(TypeError, match="would block the event loop"):
            AsyncCache(store)
        async_store = AsyncTieredCacheStore(
            MemoryCacheStore(), AsyncRedisCacheStore(redis.asyncio.Redis.from_url(redis_url))
        )
        assert isinstance(async_store, IndexedCacheStore)
        with pytest.raises(TypeError, match="use AsyncCache"):
            Cache(async_store)


def test_nonsense_is_refused(redis_url):
    far = RedisCacheStore(redis.Redis.from_url(redis_url))
    async_far = AsyncRedisCacheStore(redis.asyncio.Redis.from_url(redis_url))
    for wrong in (async_far, MemoryCacheStore(), far.link, None, RedisCacheStore):
        with pytest.raises(ConfigurationError, match="expected far as a RedisCacheStore"):
            TieredCacheStore(MemoryCacheStore(), wrong)
    for wrong in (far, MemoryCacheStore(), async_far.link, None, AsyncRedisCacheStore):
        with pytest.raises(ConfigurationError, match="expected far as an AsyncRedisCacheStore"):
            AsyncTieredCacheStore(MemoryCacheStore(), wrong)
    with pytest.raises(ConfigurationError, match="expected near as a store in this process"):
        TieredCacheStore(far, far)
    for wrong in (0, -1, "0s", None, "soon"):
        with pytest.raises(ConfigurationError, match="max_staleness"):
            TieredCacheStore(MemoryCacheStore(), far, max_staleness=wrong)
