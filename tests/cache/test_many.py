"""`cached_many` and `warm`, through both faces."""

from __future__ import annotations

import asyncio
import threading

import pytest

from scalekit.cache import AsyncCache, Cache, MemoryCacheStore
from scalekit.errors import ConfigurationError
from tests.cache.either import Async, Sync


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def face(request):
    made = request.param()
    yield made
    made.close()


class Shelf:
    """A loader of many ids: what it was asked for, in turn."""

    def __init__(self, *absent):
        self.asked = []
        self.absent = set(absent)
        self.error = None

    def __call__(self, ids):
        self.asked.append(list(ids))
        if self.error is not None:
            raise self.error
        return {id_: f"{id_} v{len(self.asked)}" for id_ in reversed(ids) if id_ not in self.absent}


def test_the_missing_ids_are_loaded_at_once_and_in_the_order_asked(face):
    shelf = Shelf(9)
    find = face.cached_many(shelf, ttl=60)
    assert face(find, []) == {}
    assert list(face(find, [3, 1, 3, 9]).items()) == [(3, "3 v1"), (1, "1 v1")]
    assert list(face(find, (1, 2, 9, 3)).items()) == [(1, "1 v1"), (2, "2 v2"), (3, "3 v1")]
    assert shelf.asked == [[3, 1, 9], [2, 9]]
    stats = face(face.cache.stats)
    assert (stats.hits, stats.misses, stats.loads) == (2, 5, 2)


def test_absent_ids_are_kept_for_none_ttl(face):
    shelf = Shelf(9)
    find = face.cached_many(shelf, ttl=60, none_ttl=5)
    assert face(find, [9]) == face(find, [9]) == {}
    face.clock.advance(5)
    shelf.absent = set()
    assert face(find, [9]) == {9: "9 v2"}
    assert shelf.asked == [[9], [9]]


def test_each_item_has_a_key_tags_and_an_end_of_its_own(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=60, tags=["product:{id}"])
    face(find, [1, 2, 3])
    assert face(face.cache.get, find.key(2)) == "2 v1"
    face(face.cache.invalidate_tags, "product:1")
    face(face.cache.delete, find.key(2))
    assert face(find, [1, 2, 3]) == {1: "1 v2", 2: "2 v2", 3: "3 v1"}
    face(find.invalidate, 1, 3)
    face(find.invalidate)
    assert face(find.refresh, 2, 3) == {2: "2 v3", 3: "3 v3"}
    assert face(find, [1, 2, 3]) == {1: "1 v4", 2: "2 v3", 3: "3 v3"}
    by_callable = face.cached_many(shelf, ttl=60, tags=lambda id_: [f"a:{id_ % 2}"], version=2)
    face(by_callable, [1, 2])
    face(face.cache.invalidate_tags, "a:0")
    assert face(by_callable, [1, 2]) == {1: "1 v5", 2: "2 v6"}


def test_stale_items_are_reloaded_together_behind_the_callers_back(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_while_revalidate=60)
    face(find, [1, 2, 3])
    face.clock.advance(11)
    face(find.refresh, 3)
    assert face(find, [1, 2, 3]) == {1: "1 v1", 2: "2 v1", 3: "3 v2"}
    face.settle()
    assert face(find, [1, 2, 3]) == {1: "1 v3", 2: "2 v3", 3: "3 v2"}
    assert shelf.asked == [[1, 2, 3], [3], [1, 2]]


def test_all_of_a_failed_load_is_answered_from_before_or_nothing(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_if_error=60)
    face(find, [1, 2])
    face.clock.advance(11)
    shelf.error = OSError("gone")
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    with pytest.raises(OSError, match="gone"):
        face(find, [1, 2, 3])


def test_an_invalidation_during_the_load_is_not_lost(face):
    store = MemoryCacheStore()
    face.cache = type(face.cache)(store, clock=face.clock)
    shelf = Shelf()

    def load(ids):
        if len(shelf.asked) == 0:
            store.invalidate(["cache:product:1"])
        return shelf(ids)

    find = face.cached_many(load, ttl=60, tags=["product:{id}"])
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    assert face(find, [1, 2]) == {1: "1 v2", 2: "2 v1"}


def test_overlapping_batches_load_each_id_once():
    cache, entered, go_on = Cache(), threading.Semaphore(0), threading.Event()
    asked = []

    @cache.cached_many(ttl=60)
    def find(ids):
        asked.append(list(ids))
        entered.release()
        assert go_on.wait(30)
        return {id_: id_ for id_ in ids}

    answers = []
    threads = [threading.Thread(target=lambda ids=ids: answers.append(find(ids))) for ids in ([1, 2], [2, 3])]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=30)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert sorted(asked) == [[1, 2], [3]]
    assert sorted(answers, key=list) == [{1: 1, 2: 2}, {2: 2, 3: 3}]


def test_loaders_of_many_that_wait_for_each_other_do_not_deadlock(face):
    asked = []

    async def async_load(ids):
        asked.append(sorted(ids))
        return {id_: len(await find([id_, id_ + 1])) if len(asked) < 3 else 0 for id_ in ids}

    def load(ids):
        asked.append(sorted(ids))
        return {id_: len(find([id_, id_ + 1])) if len(asked) < 3 else 0 for id_ in ids}

    find = face.cache.cached_many(ttl=60)(async_load if isinstance(face, Async) else load)
    assert set(face(find, [1, 2])) == {1, 2}


@pytest.mark.anyio
async def test_a_caller_that_is_cancelled_leaves_the_batch_to_the_others():
    cache, go_on = AsyncCache(), asyncio.Event()

    @cache.cached_many(ttl=60)
    async def find(ids):
        await go_on.wait()
        return {id_: id_ for id_ in ids}

    first = asyncio.create_task(find([1, 2]))
    await asyncio.sleep(0)
    second = asyncio.create_task(find([2]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await second == {2: 2}
    assert await find([1]) == {1: 1}
    assert cache.stats().loads == 1


class Batching(MemoryCacheStore):
    """A store that reads and writes many at once, and counts."""

    __slots__ = ("calls",)

    def __init__(self):
        super().__init__()
        self.calls = []

    def read_many(self, slots, now, /):
        self.calls.append(("read_many", len(slots)))
        return [self.read(slot, now) for slot in slots]

    def write_many(self, writes, now, /):
        self.calls.append(("write_many", len(writes)))
        return [self.write(*write, now) for write in writes]


def test_a_store_of_batches_is_asked_once():
    store = Batching()
    find = Sync(store).cached_many(Shelf(), ttl=60)
    assert find([1, 2, 3]) == {1: "1 v1", 2: "2 v1", 3: "3 v1"}
    assert find([1, 2, 3, 4])[4] == "4 v2"
    assert store.calls == [("read_many", 3), ("write_many", 3), ("read_many", 4), ("write_many", 1)]


def test_methods_may_have_a_session_besides_the_ids(face):
    asked = []

    class Shop:
        def find(self, ids, session=None):
            asked.append((list(ids), session))
            return {id_: id_ for id_ in ids}

        async def async_find(self, ids, session=None):
            return self.find(ids, session)

        cached = face.cache.cached_many(ttl=60)(async_find if isinstance(face, Async) else find)

    shop, session = Shop(), object()
    assert face(shop.cached, [1], session=session) == {1: 1}
    assert face(Shop().cached, [1, 2]) == {1: 1, 2: 2}
    face(shop.cached.invalidate, 1)
    assert face(shop.cached.refresh, 2, session=session) == {2: 2}
    assert face(shop.cached, [1]) == {1: 1}
    assert asked == [([1], session), ([2], None), ([2], session), ([1], None)]
    assert shop.cached.key(1) == Shop.cached.key(1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"ttl": 1, "lock": "cluster"}, 'lock "process" or None in cached_many'),
        ({"ttl": 1, "cache_exceptions": (OSError,)}, "cache_exceptions only in cached"),
        ({"ttl": 1, "tags": ["{other}"]}, "tags to name the id alone"),
        ({"ttl": 1, "typed": 1}, "typed as True or False"),
        ({"ttl": 1, "l1": None}, "l1 as True or False"),
        ({"ttl": 1, "exclude": "session"}, "exclude as a list"),
        ({"ttl": 1, "serializer": dict}, "serializer as an object with dumps"),
        ({}, "ttl as a duration"),
    ],
)
def test_nonsense_is_refused(face, options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        face.cached_many(Shelf(), **options)


def list_of(ids):
    return list(ids)


def test_a_function_must_be_of_ids_alone_and_return_a_mapping():
    cache = Cache()
    for function in (lambda: None, lambda ids, locale: {}, lambda *ids: {}):
        with pytest.raises(ConfigurationError, match="of one parameter, the ids"):
            cache.cached_many(ttl=1)(function)
    find = cache.cached_many(ttl=1)(list_of)
    with pytest.raises(TypeError, match="returned list, not a mapping"):
        find([1])
    for ids in ("12", 5, None):
        with pytest.raises(ConfigurationError, match="ids as a sequence of ids"):
            find(ids)


# -- warm ------------------------------------------------------------------------------------------


def test_warming_loads_what_is_missing_and_goes_on_after_an_error(face):
    def load(x):
        if x == 3:
            raise OSError("gone")
        face.clock.advance(1)
        return x

    find = face.cached(load, ttl=60)
    face(find, 1)
    progress = []
    report = face(
        find.warm, [(1,), [2], (3,), {"x": 4}], concurrency=2, on_progress=lambda *done: progress.append(done)
    )
    assert (report.loaded, report.failed, report.present, report.seconds) == (2, 1, 1, 2.0)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (face(find, 2), face(find, 4)) == (2, 4)
    assert face(find.warm, []).loaded == 0


def test_warming_is_bounded():
    cache, running, most = Cache(), threading.Semaphore(2), []

    @cache.cached(ttl=60)
    def load(x):
        most.append(running.acquire(blocking=False))
        running.release()
        return x

    assert load.warm([(x,) for x in range(50)], concurrency=2).loaded == 50
    assert all(most)


@pytest.mark.anyio
async def test_warming_is_bounded_in_tasks():
    cache, running, most = AsyncCache(), 0, 0

    @cache.cached(ttl=60)
    async def load(x):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return x

    assert (await load.warm([(x,) for x in range(50)], concurrency=3)).loaded == 50
    assert most == 3


@pytest.mark.parametrize(
    ("calls", "options", "complaint"),
    [
        ([7], {}, r"calls as tuples of arguments, such as \(7,\)"),
        ("ab", {}, "calls as an iterable"),
        (7, {}, "calls as an iterable"),
        ([], {"concurrency": 0}, "concurrency as an integer >= 1"),
        ([], {"on_progress": 3}, "on_progress as a callable"),
    ],
)
def test_warming_refuses_nonsense(face, calls, options, complaint):
    find = face.cached(str, ttl=60)
    with pytest.raises(ConfigurationError, match=complaint):
        face(find.warm, calls, **options)


def test_a_progress_callback_that_raises_ends_the_warming(face):
    def fail(done, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        face(face.cached(str, ttl=60).warm, [(1,), (2,)], on_progress=fail)


def test_methods_are_warmed_for_their_object(face):
    class Shop:
        def find(self, x):
            return x

        async def async_find(self, x):
            return x

        cached = face.cache.cached(ttl=60)(async_find if isinstance(face, Async) else find)

    shop = Shop()
    assert face(shop.cached.warm, [(1,), (2,)]).loaded == 2
