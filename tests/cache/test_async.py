"""The laws of `AsyncCache`."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect

import pytest

from scalekit.cache import AsyncCache, Cache, MemoryCacheStore
from scalekit.cache._awaitable import AwaitableStore
from scalekit.errors import ConfigurationError
from scalekit.testing import ManualClock

DEADLINE = 10


class Loader:
    """A loader that says when it runs, and ends when it may."""

    def __init__(self, value=0):
        self.value = value
        self.calls = 0
        self.cancelled = 0
        self.entered = asyncio.Semaphore(0)
        self.gate = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        value = self.value
        self.entered.release()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(value, BaseException):
            raise value
        return value

    async def load(self, x):
        return await self()

    async def wait_until_running(self):
        await asyncio.wait_for(self.entered.acquire(), DEADLINE)


async def settled():
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["memory", "awaited"])
def store(request):
    return MemoryCacheStore() if request.param == "memory" else AwaitableStore(MemoryCacheStore())


@pytest.fixture
def cache(store, clock):
    return AsyncCache(store, clock=clock)


def counting(cache, **options):
    calls = []

    @cache.cached(**{"ttl": 60, **options})
    async def profile(user_id: int, locale: str = "en"):
        calls.append((user_id, locale))
        return f"{user_id} {locale} {len(calls)}"

    profile.calls = calls
    return profile


@pytest.mark.anyio
async def test_one_call_has_one_entry_however_it_is_written(cache):
    profile = counting(cache)
    first = await profile(7)
    assert {await profile(7), await profile(user_id=7), await profile(7, "en")} == {first}
    assert await profile(7, "fr") != first
    assert await profile(True) != await profile(1)
    assert len(profile.calls) == 4
    assert inspect.iscoroutinefunction(profile)
    assert profile.__name__ == "profile"
    assert await profile.__wrapped__(7) == "7 en 5"


@pytest.mark.anyio
async def test_keys_are_those_of_the_sync_face(cache):
    sync = Cache()

    def same(x, y=2):
        return x

    async def load(x, y=2):
        return x

    load.__qualname__ = same.__qualname__
    assert cache.cached(ttl=1)(load).key(1) == sync.cached(ttl=1)(same).key(1)


@pytest.mark.anyio
async def test_get_set_delete_clear(cache, clock):
    assert await cache.get("k", 5) == 5
    await cache.set("k", None, ttl="1m", tags=["t"])
    assert await cache.get("k", 5) is None
    clock.advance("1m")
    assert await cache.get("k", 5) == 5
    for end in (lambda: cache.delete("k"), lambda: cache.invalidate_tags("t"), cache.clear):
        await cache.set("k", 1, ttl="1m", tags=["t"])
        assert await cache.get("k") == 1
        await end()
        assert await cache.get("k") is None


@pytest.mark.anyio
async def test_get_or_set(cache, clock):
    calls = []

    async def load():
        calls.append(1)
        return len(calls)

    assert [await cache.get_or_set("k", load, ttl=60, tags=["t"]) for _ in range(2)] == [1, 1]
    await cache.invalidate_tags("t")
    assert await cache.get_or_set("k", load, ttl=60) == 2
    clock.advance(60)
    assert await cache.get_or_set("k", load, ttl=60) == 3


@pytest.mark.anyio
async def test_key_invalidate_refresh(cache):
    profile = counting(cache)
    assert await profile(7) == "7 en 1"
    assert await cache.get(profile.key(7)) == "7 en 1"
    await profile.invalidate(user_id=7)
    assert await profile(7) == "7 en 2"
    assert await profile.refresh(7) == "7 en 3"
    assert await profile(7) == "7 en 3"


@pytest.mark.anyio
async def test_statistics(cache):
    profile = counting(cache, tags=["user:{user_id}"])
    await profile(7)
    await profile(7)
    await profile(8)
    await cache.invalidate_tags("user:8")
    await profile(7)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.invalidations) == (2, 2, 2, 1)


# -- never stale -----------------------------------------------------------------------------------

INVALIDATIONS = {
    "tag": lambda cache, load: cache.invalidate_tags("t:1"),
    "call": lambda cache, load: load.invalidate(1),
    "key": lambda cache, load: cache.delete(load.key(1)),
    "clear": lambda cache, load: cache.clear(),
}


@pytest.fixture(params=INVALIDATIONS.values(), ids=INVALIDATIONS)
def invalidate(request):
    return request.param


@pytest.mark.anyio
async def test_a_value_loaded_before_an_invalidation_is_not_served_after_it(cache, invalidate):
    loader = Loader("old")
    load = cache.cached(ttl=60, tags=["t:{x}"])(loader.load)
    running = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.value = "new"
    await invalidate(cache, load)
    loader.gate.set()
    assert await running == "old"
    assert await load(1) == "new"


@pytest.mark.anyio
async def test_a_call_after_an_invalidation_does_not_join_the_load_from_before(cache, invalidate):
    loader = Loader("old")
    load = cache.cached(ttl=60, tags=["t:{x}"])(loader.load)
    before = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.value = "new"
    await invalidate(cache, load)
    after = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.gate.set()
    assert (await before, await after, await load(1)) == ("old", "new", "new")


@pytest.mark.anyio
async def test_a_cached_value_is_not_served_after_an_invalidation(cache, invalidate):
    loader = Loader("old")
    loader.gate.set()
    load = cache.cached(ttl=60, tags=["t:{x}"])(loader.load)
    for value in ("old", "new", "newest"):
        loader.value = value
        assert (await load(1), await load(1)) == (value, value)
        await invalidate(cache, load)


@pytest.mark.anyio
async def test_a_refresh_wins_over_a_load_that_began_before_it(cache):
    loader = Loader("old")
    load = cache.cached(ttl=60)(loader.load)
    running = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.value = "new"
    refreshing = asyncio.create_task(load.refresh(1))
    await loader.wait_until_running()
    loader.gate.set()
    assert (await running, await refreshing, await load(1)) == ("old", "new", "new")


@pytest.mark.anyio
async def test_nothing_stale_under_stress(cache, invalidate):
    source = committed = 0
    stale = []
    running = True

    @cache.cached(ttl=60, tags=["t:{x}"])
    async def load(x):
        value = source
        await asyncio.sleep(0)
        return value

    async def update():
        nonlocal source, committed, running
        for i in range(100):
            source += 1
            await invalidate(cache, load)
            committed = source
            for _ in range(i % 4):
                await asyncio.sleep(0)
        running = False

    async def read():
        while running:
            oldest = committed
            value = await load(1)
            if value < oldest:
                stale.append((value, oldest))
            await asyncio.sleep(0)

    await asyncio.gather(update(), read(), read(), read())
    assert not stale


# -- one load at a time ----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_of_many_tasks_one_loads(cache):
    loader = Loader()
    load = cache.cached(ttl=60)(loader.load)
    callers = [asyncio.create_task(load(1)) for _ in range(20)]
    await loader.wait_until_running()
    await settled()
    loader.gate.set()
    assert await asyncio.gather(*callers) == [0] * 20
    assert loader.calls == 1


@pytest.mark.anyio
async def test_an_exception_reaches_every_waiter_and_is_not_kept(cache):
    error = LookupError("gone")
    loader = Loader(error)
    load = cache.cached(ttl=60)(loader.load)
    callers = [asyncio.create_task(load(1)) for _ in range(5)]
    await loader.wait_until_running()
    await settled()
    loader.gate.set()
    assert await asyncio.gather(*callers, return_exceptions=True) == [error] * 5
    assert loader.calls == cache.stats().load_errors == 1
    loader.value = 1
    assert await load(1) == 1


@pytest.mark.anyio
async def test_a_cancelled_leader_cancels_nobody_and_nothing_is_loaded_twice(cache):
    loader = Loader()
    load = cache.cached(ttl=60)(loader.load)
    callers = [asyncio.create_task(load(1)) for _ in range(5)]
    await loader.wait_until_running()
    await settled()
    callers[0].cancel()
    callers[3].cancel()
    await settled()
    loader.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [
        asyncio.CancelledError,
        int,
        int,
        asyncio.CancelledError,
        int,
    ]
    assert (loader.calls, loader.cancelled) == (1, 0)
    assert await load(1) == 0
    assert loader.calls == 1


@pytest.mark.anyio
async def test_when_nobody_waits_any_more_the_load_is_cancelled(cache):
    loader = Loader()
    load = cache.cached(ttl=60)(loader.load)
    callers = [asyncio.create_task(load(1)) for _ in range(3)]
    await loader.wait_until_running()
    await settled()
    for caller in callers:
        caller.cancel()
    newcomer = None
    await asyncio.sleep(0)
    newcomer = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.gate.set()
    assert await newcomer == 0
    assert (loader.calls, loader.cancelled) == (2, 1)


@pytest.mark.anyio
async def test_a_newcomer_does_not_join_a_load_that_is_being_cancelled(cache):
    cleanup = asyncio.Event()

    class Slow(Loader):
        async def load(self, x):
            try:
                return await self()
            finally:
                await cleanup.wait()

    loader = Slow()
    load = cache.cached(ttl=60)(loader.load)
    caller = asyncio.create_task(load(1))
    await loader.wait_until_running()
    caller.cancel()
    await settled()
    newcomer = asyncio.create_task(load(1))
    await loader.wait_until_running()
    loader.gate.set()
    cleanup.set()
    assert await newcomer == 0
    with pytest.raises(asyncio.CancelledError):
        await caller


@pytest.mark.anyio
async def test_an_error_that_nobody_waits_for_is_not_logged(cache, caplog):
    class Stubborn(Loader):
        async def load(self, x):
            try:
                return await self()
            except asyncio.CancelledError:
                raise LookupError from None

    loader = Stubborn()
    load = cache.cached(ttl=60)(loader.load)
    caller = asyncio.create_task(load(1))
    await loader.wait_until_running()
    caller.cancel()
    await settled()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller, load
    gc.collect()
    # Only what speaks of our error: the collection may find another test's garbage, too.
    assert not [record for record in caplog.records if record.exc_info and record.exc_info[0] is LookupError]


@pytest.mark.anyio
async def test_a_deadline_around_a_call_reaches_the_loader(cache):
    loader = Loader()
    load = cache.cached(ttl=60)(loader.load)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await load(1)
    await settled()
    assert loader.cancelled == 1


@pytest.mark.anyio
async def test_a_miss_that_finds_the_flight_landed_looks_again():
    reads = []
    landed = asyncio.Event()

    class Slow(AwaitableStore):
        async def read(self, slot, now, /):
            found = await super().read(slot, now)
            reads.append(found)
            if len(reads) == 1:
                await landed.wait()
            return found

    cache = AsyncCache(Slow(MemoryCacheStore()))
    profile = counting(cache)
    late = asyncio.create_task(profile(7))
    await settled()
    assert await profile(7) == "7 en 1"
    landed.set()
    assert await late == "7 en 1"
    assert len(profile.calls) == 1


@pytest.mark.anyio
async def test_a_miss_that_looks_again_in_vain_loads():
    class Busy(AwaitableStore):
        async def read(self, slot, now, /):
            found = await super().read(slot, now)
            cache._reads.flights.landed += 1  # as if another key's load had ended meanwhile
            return found

    cache = AsyncCache(Busy(MemoryCacheStore()))
    profile = counting(cache)
    assert (await profile(7), await profile(7)) == ("7 en 1", "7 en 1")


@pytest.mark.anyio
async def test_a_load_sees_the_context_of_its_caller(cache):
    request = contextvars.ContextVar("request")
    request.set(5)

    @cache.cached(ttl=60)
    async def load(x):
        return request.get()

    assert await load(1) == 5


# -- loaders that come back ------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_loader_may_come_back_to_its_own_key(cache):
    depth = []

    @cache.cached(ttl=60)
    async def load(x):
        depth.append(x)
        return await load(x) + 1 if len(depth) < 3 else 0

    assert await asyncio.wait_for(load(1), DEADLINE) == 2


@pytest.mark.anyio
async def test_a_loader_may_come_back_from_a_task_of_its_own(cache):
    depth = []

    @cache.cached(ttl=60)
    async def load(x):
        depth.append(x)
        return sum(await asyncio.gather(load(x), load(x))) if len(depth) < 2 else 1

    assert await asyncio.wait_for(load(1), DEADLINE) == 2


@pytest.mark.anyio
async def test_loaders_that_wait_for_each_other(cache):
    entered = set()

    @cache.cached(ttl=60)
    async def load(x):
        if x in entered:
            return [x]
        entered.add(x)
        await asyncio.sleep(0)
        return [x, *await load((x + 1) % 3)]

    answers = await asyncio.wait_for(asyncio.gather(load(0), load(1), load(2)), DEADLINE)
    assert [answer[0] for answer in answers] == [0, 1, 2]


# -- methods, loops, bad input ---------------------------------------------------------------------


@pytest.mark.anyio
async def test_methods(cache):
    class Repo:
        calls = 0

        @cache.cached(ttl=60)
        async def find(self, user_id):
            self.calls += 1
            return self.calls

    repo = Repo()
    assert (await repo.find(7), await repo.find(7), await Repo.find(repo, 7)) == (1, 1, 1)
    await repo.find.invalidate(7)
    assert await repo.find(7) == 2
    assert await repo.find.refresh(7) == 3
    assert repo.find.key(7) == Repo.find.key(repo, 7)


@pytest.mark.anyio
async def test_a_plain_function_needs_the_other_face(cache):
    with pytest.raises(TypeError, match="is not async: AsyncCache cannot cache it, use Cache"):
        cache.cached(ttl=60)(lambda x: x)


@pytest.mark.anyio
async def test_a_loader_that_cannot_be_awaited_is_refused(cache):
    with pytest.raises(TypeError, match="the loader returned int, not an awaitable"):
        await cache.get_or_set("k", lambda: 5, ttl=60)


@pytest.mark.anyio
async def test_a_store_that_would_block_is_refused():
    class Blocking:
        def __init__(self):
            inner = MemoryCacheStore()
            self.read, self.begin, self.write = inner.read, inner.begin, inner.write
            self.delete, self.invalidate = inner.delete, inner.invalidate

    with pytest.raises(TypeError, match="Blocking would block the event loop: use its async twin, or Cache"):
        AsyncCache(Blocking())
    Blocking.nonblocking = False
    with pytest.raises(TypeError, match="would block"):
        AsyncCache(Blocking())
    with pytest.raises(
        ConfigurationError, match="expected store as an object with the methods of AsyncCacheStore"
    ):
        AsyncCache({})


@pytest.mark.anyio
async def test_the_default_store_is_in_memory_and_indexed():
    profile = counting(AsyncCache())
    assert await profile(7) == await profile(7)
    with pytest.raises(StopIteration, match="7 en 1"):
        profile(7).send(None)


@pytest.mark.anyio
async def test_events(clock):
    events = []
    cache = AsyncCache(clock=clock, on_event=events.append)
    profile = counting(cache)
    await profile(7)
    await profile(7)
    with pytest.raises(ConfigurationError, match="expected on_event"):
        AsyncCache(on_event=5)
    assert [(event.name, event.outcome) for event in events] == [
        ("get", "miss"),
        ("load", "ok"),
        ("get", "hit"),
    ]


def test_a_flight_of_a_closed_loop_does_not_bind_the_next(clock):
    cache = AsyncCache(clock=clock)
    loads = []

    @cache.cached(ttl=60)
    async def load(x):
        loads.append(x)
        if len(loads) == 1:
            await asyncio.Event().wait()
        return len(loads)

    loop = asyncio.new_event_loop()
    task = loop.create_task(load(1))
    for _ in range(5):
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert loads == [1]
    try:
        assert asyncio.run(load(1)) == 2
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()
    assert asyncio.run(load(1)) == 2


@pytest.mark.anyio
async def test_a_session_that_could_tell_users_apart_is_not_left_out_unsaid(cache):
    async def whoami(session):
        return session

    with pytest.raises(ConfigurationError, match=r"expected session .*exclude=\(\).*; got <class 'str'>"):
        await cache.cached(ttl=60)(whoami)("s1")
    told = cache.cached(ttl=60, exclude=(), version="told")(whoami)
    assert (await told("s1"), await told("s2")) == ("s1", "s2")


@pytest.mark.anyio
async def test_functions_of_one_name_need_versions(cache):
    async def whoami(x):
        return x

    cache.cached(ttl=60)(whoami)

    async def other(x):
        return -x

    other.__qualname__ = whoami.__qualname__
    with pytest.raises(ConfigurationError, match="expected version different"):
        cache.cached(ttl=60)(other)


@pytest.mark.anyio
async def test_a_loader_that_is_no_function_is_refused(cache):
    with pytest.raises(ConfigurationError, match="expected load as a function without arguments; got 5"):
        await cache.get_or_set("a", 5, ttl=1)
