"""`cached_many`: a function of many ids whose items are kept one by one, through both faces."""

from __future__ import annotations

import asyncio
import threading

import pytest

from scalekit.cache import AsyncCache, Cache, Entry, MemoryCacheStore, Slot
from scalekit.errors import ConfigurationError, SerialisationError
from scalekit.testing import Gate, flaky
from tests.cache.either import DEADLINE, Async, Sync
from tests.cache.leasing import AsyncLeasingStore, Leases, LeasingStore
from tests.servers.lifeline import wait_until


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

    def begin_many(self, slots, now, outdate, /):
        self.calls.append(("begin_many", len(slots)))
        return [self.begin(slot, now, outdate) for slot in slots]

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
    assert shop.cached.key(1) == Shop.cached.key(shop, 1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"ttl": 1, "lock": "cluster"}, 'lock as "process" or None in cached_many'),
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


# -- one load of each id at a time -----------------------------------------------------------------


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.release()


def gated(shelf, gate):
    def load(ids):
        asked = shelf(ids)
        yield gate
        return asked

    return load


def waiting(face):
    flights = face.cache._reads.flights._flights
    if face.is_async:
        return sorted(load.waiting for load in {flight.load for flight in flights.values()})
    return sorted(flight.waiting for flight in flights.values())


def test_batches_that_overlap_load_each_id_once(face, gate):
    shelf = Shelf(2)
    find = face.cached_many(gated(shelf, gate), ttl=60)
    first = face.start(find, [1, 2, 3])
    gate.wait_for_callers(1)
    second = face.start(find, [4, 3, 2])
    third = face.start(find, [3, 1])
    gate.wait_for_callers(2)
    total = 4 if face.is_async else 3 + 3 + 2  # of loads, or of each flight
    wait_until(lambda: sum(waiting(face)) == total, "all wait")
    gate.release()
    assert first.result(DEADLINE) == {1: "1 v1", 3: "3 v1"}
    assert list(second.result(DEADLINE).items()) == [(4, "4 v2"), (3, "3 v1")]
    assert list(third.result(DEADLINE).items()) == [(3, "3 v1"), (1, "1 v1")]
    assert shelf.asked == [[1, 2, 3], [4]]


def test_a_batch_and_a_single_call_for_an_items_key_share_its_load(face, gate):
    shelf = Shelf()
    find = face.cached_many(gated(shelf, gate), ttl=60)
    batch = face.start(find, [1, 2])
    gate.wait_for_callers(1)
    single = face.start(face.cache.get_or_set, find.key(1), face.plain(lambda: "unused"), ttl=60)
    wait_until(lambda: waiting(face) in ([1, 2], [2]), "it waits")
    gate.release()
    assert (batch.result(DEADLINE), single.result(DEADLINE)) == ({1: "1 v1", 2: "2 v1"}, "1 v1")


def test_an_error_reaches_every_batch_that_waits_for_one_of_its_ids(face, gate):
    shelf = Shelf()
    find = face.cached_many(gated(shelf, gate), ttl=60)
    shelf.error = OSError("gone")

    def load(ids):
        shelf.asked.append(list(ids))
        yield gate
        if 1 in ids:
            raise OSError("gone")
        return dict.fromkeys(ids, "v")

    find = face.cached_many(load, ttl=60, version=2)
    first = face.start(find, [1, 2])
    gate.wait_for_callers(1)
    second = face.start(find, [2, 3])
    gate.wait_for_callers(2)
    third = face.start(find, [3])
    wait_until(lambda: sum(waiting(face)) == (4 if face.is_async else 5), "all wait")
    gate.release()
    for call in (first, second):
        with pytest.raises(OSError, match="gone"):
            call.result(DEADLINE)
    assert third.result(DEADLINE) == {3: "v"}
    assert face(find, [3]) == {3: "v"}, "what was loaded is kept"


@pytest.mark.parametrize("end", ["tag", "key", "clear", "elsewhere"])
def test_a_call_after_an_invalidation_does_not_join_the_load_from_before(kind, gate, end):
    store = MemoryCacheStore()
    face, shelf = kind(store), Shelf()
    find = face.cached_many(gated(shelf, gate), ttl=60, tags=["product:{id}"])
    before = face.start(find, [1, 2])
    gate.wait_for_callers(1)
    {
        "tag": lambda: face(face.cache.invalidate_tags, "product:1"),
        "key": lambda: face(find.invalidate, 1),
        "clear": lambda: face(face.cache.clear),
        "elsewhere": lambda: store.invalidate(["cache:product:1"]),
    }[end]()
    after = face.start(find, [1, 2])
    gate.wait_for_callers(2)
    gate.release()
    assert before.result(DEADLINE) == {1: "1 v1", 2: "2 v1"}
    second = "2 v2" if end == "clear" else "2 v1"
    assert after.result(DEADLINE) == {1: "1 v2", 2: second}
    assert face(find, [1, 2]) == {1: "1 v2", 2: second}
    assert shelf.asked == [[1, 2], [1, 2] if end == "clear" else [1]]
    face.close()


def test_a_reload_that_was_overtaken_is_not_stored(face, gate):
    shelf = Shelf()
    find = face.cached_many(gated(shelf, gate), ttl=10, stale_while_revalidate=60, tags=["product:{id}"])
    gate_of_first, calls = Gate(), []
    gate_of_first.release()

    def load(ids):
        calls.append(list(ids))
        yield gate if len(calls) == 2 else gate_of_first
        return {id_: f"{id_} v{len(calls)}" for id_ in ids}

    find = face.cached_many(load, ttl=10, stale_while_revalidate=60, tags=["product:{id}"], version=2)
    face(find, [1, 2])
    face.clock.advance(11)
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    gate.wait_for_callers(1)
    face(face.cache.invalidate_tags, "product:1")
    assert face(find, [1, 2]) == {1: "1 v3", 2: "2 v1"}
    gate.release()
    face.settle()
    assert face(find, [1, 2]) == {1: "1 v3", 2: "2 v3"}


def test_without_a_lock_each_batch_loads_for_itself(face, gate):
    shelf = Shelf()
    find = face.cached_many(gated(shelf, gate), ttl=60, lock=None)
    calls = [face.start(find, [1, 2]) for _ in range(2)]
    gate.wait_for_callers(2)
    gate.release()
    assert [call.result(DEADLINE)[1] for call in calls] in (
        ["1 v1", "1 v2"],
        ["1 v2", "1 v1"],
        ["1 v2", "1 v2"],
    )
    assert shelf.asked == [[1, 2], [1, 2]]
    assert face(find, [1, 2]).keys() == {1, 2}
    assert len(shelf.asked) == 2, "and they are stored"


def test_what_is_kept_of_an_id_is_not_another_ids(face):
    """1, True and 1.0 are one key of a dict, and three keys of the cache."""
    find = face.cached_many(lambda ids: {id_: repr(id_) for id_ in ids}, ttl=60, tags=["item:{id}"])
    for _ in range(2):
        for id_ in (1, True, 1.0, "1"):
            assert face(find, [id_]) == {id_: repr(id_)}
    face(face.cache.invalidate_tags, "item:1")
    assert face(face.cache.get, find.key(True)) == "True"
    assert face(face.cache.get, find.key(1)) is face(face.cache.get, find.key("1")) is None


def test_tags_by_a_callable_are_those_of_the_call(face):
    """They may depend on more than the id: those of an earlier call would outlive an invalidation."""
    shelf, shop = Shelf(), "a"
    find = face.cached_many(shelf, ttl=60, tags=lambda id_: [f"shop:{shop}"])
    face(find, [1])
    shop = "b"
    face(find.refresh, 1)
    face(face.cache.invalidate_tags, "shop:a")
    assert face(find, [1]) == {1: "1 v2"}
    face(face.cache.invalidate_tags, "shop:b")
    assert face(find, [1]) == {1: "1 v3"}


class Sku:
    """Two of these are not equal, but what one stands for in a key may be what another does."""

    def __init__(self, code):
        self.code = code

    def __cache_key__(self):
        return self.code.upper()


@pytest.mark.parametrize("lock", ["process", None])
def test_ids_of_one_key_are_all_answered_by_the_first_call_too(face, lock):
    find = face.cached_many(lambda ids: {sku: sku.code for sku in ids}, ttl=60, lock=lock, stale_if_error=60)
    skus = [Sku("a"), Sku("A"), Sku("b")]
    for method in (lambda: face(find, skus), lambda: face(find.refresh, *skus), lambda: face(find, skus)):
        items = method()
        assert list(items) == skus
        assert [item.upper() for item in items.values()] == ["A", "A", "B"]


# -- what is absent, and what is gone --------------------------------------------------------------


@pytest.mark.parametrize("none_ttl", [None, 30])
def test_an_item_that_a_refresh_finds_gone_is_not_served_again(face, none_ttl):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=60, none_ttl=none_ttl)
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    shelf.absent = {1}
    assert face(find.refresh, 1, 2) == {2: "2 v2"}
    assert face(find, [1, 2]) == {2: "2 v2"}


def test_an_item_that_a_reload_finds_gone_is_not_served_stale_again(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_while_revalidate=20, stale_if_error=900)
    face(find, [1, 2])
    shelf.absent = {1}
    face.clock.advance(11)
    assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    face.settle()
    assert face(find, [1, 2]) == {2: "2 v2"}
    face.clock.advance(31)  # beyond both: loads, and 2 is gone as well
    shelf.absent = {1, 2}
    assert face(find, [1, 2]) == {}
    shelf.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, [2])


def test_absences_end_with_none_ttl_and_by_invalidation_and_are_hits(face):
    shelf = Shelf(1, 2)
    find = face.cached_many(shelf, ttl=60, none_ttl=30, stale_if_error=60, tags=["product:{id}"])
    assert face(find, [1, 2]) == face(find, [2, 1]) == {}
    assert face.stats()[:2] == (2, 2)
    face(face.cache.invalidate_tags, "product:1")
    face(find, [1, 2])
    assert shelf.asked == [[1, 2], [1]]
    face.clock.advance(30)
    shelf.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, [2])


def test_an_absence_is_no_answer_for_who_asks_for_one_key(face):
    find = face.cached_many(Shelf(1), ttl=60, none_ttl=30)
    face(find, [1])
    assert face(face.cache.get, find.key(1), "none") == "none"
    stats = face.stats()
    assert face(face.cache.get_or_set, find.key(1), face.plain(lambda: "loaded"), ttl=60) == "loaded"
    assert face.stats()[:2] == (stats.hits, stats.misses + 1)
    assert face(find, [1]) == {1: "loaded"}


def test_an_absence_answers_for_no_load_of_one_key_that_failed(face):
    find = face.cached_many(Shelf(1), ttl=60, none_ttl=30, stale_if_error=600)
    face(find, [1])

    def fails():
        raise OSError("gone")

    for _ in range(2):  # fresh, then stale
        with pytest.raises(OSError, match="gone"):
            face(face.cache.get_or_set, find.key(1), face.plain(fails), ttl=60, stale_if_error=600)
        face.clock.advance(31)


def test_an_absence_is_no_answer_for_who_is_elected_to_load_one_key(face):
    leasing = AsyncLeasingStore if face.is_async else LeasingStore
    electing = type(face)(leasing(MemoryCacheStore(), Leases(lambda: 0.0)))
    find = electing.cached_many(Shelf(1), ttl=60, none_ttl=30)
    electing(find, [1])
    get_or_set = electing.cache.get_or_set
    load = electing.plain(lambda: "loaded")
    assert electing(get_or_set, find.key(1), load, ttl=60, lock="cluster") == "loaded"
    assert electing(find, [1]) == {1: "loaded"}
    electing.close()


def test_an_absence_that_lands_while_it_is_asked_for_is_no_answer_either(face, gate):
    find = face.cached_many(gated(Shelf(1), gate), ttl=60, none_ttl=30)
    many = face.start(find, [1])
    gate.wait_for_callers(1)
    one = face.start(face.cache.get_or_set, find.key(1), face.plain(lambda: "loaded"), ttl=60)
    wait_until(lambda: sum(face.stats()[:2]) == 2, "both have looked")
    gate.release()
    assert many.result(DEADLINE) == {}
    assert one.result(DEADLINE) == "loaded"


def test_nothing_is_kept_of_absences_without_none_ttl_or_with_none(face):
    for none_ttl, version in ((None, 1), (0, 2)):
        shelf = Shelf(1)
        find = face.cached_many(shelf, ttl=60, none_ttl=none_ttl, version=version)
        assert face(find, [1]) == face(find, [1]) == {}
        assert len(shelf.asked) == 2


def test_an_item_that_is_none_is_an_item(face):
    shelf = []

    def load(ids):
        shelf.append(list(ids))
        return dict.fromkeys(ids)

    find = face.cached_many(load, ttl=60)
    assert face(find, [1]) == face(find, [1]) == {1: None}
    assert len(shelf) == 1
    brief = face.cached_many(load, ttl=60, none_ttl=5, version=2)
    assert face(brief, [1]) == {1: None}
    face.clock.advance(5)
    assert face(brief, [1]) == {1: None}
    assert len(shelf) == 3


def test_what_was_not_asked_for_is_not_kept(face):
    find = face.cached_many(lambda ids: {1: "one", 2: "two"}, ttl=60)
    assert face(find, [1]) == {1: "one"}
    assert face(face.cache.get, find.key(2)) is None


# -- failures --------------------------------------------------------------------------------------


def test_a_failed_load_of_which_a_part_is_missing_answers_nothing_and_counts_nothing(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_if_error=60)
    face(find, [1])
    face.clock.advance(11)
    shelf.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, [1, 2])
    assert face.stats().stale_hits == 0
    assert face(find, [1]) == {1: "1 v1"}
    assert face(find, [1]) == {1: "1 v1"}
    assert face.stats() == (1, 4, 2, 3, 2, 0, 0), "and then it is held off"


def test_mistakes_in_the_program_are_not_covered_up_by_stale_items(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_if_error=60)
    face(find, [1])
    face.clock.advance(11)
    for error in (ConfigurationError("x", 1, "y"), SerialisationError("no")):
        shelf.error = error
        with pytest.raises(type(error)):
            face(find, [1])


def test_a_reload_of_items_that_fails_is_held_off(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=10, stale_while_revalidate=60)
    face(find, [1, 2])
    face.clock.advance(11)
    shelf.error = OSError("gone")
    for _ in range(3):
        assert face(find, [1, 2]) == {1: "1 v1", 2: "2 v1"}
        face.settle()
    assert len(shelf.asked) == 2
    face.clock.advance(1)
    face(find, [2])
    face.settle()
    assert shelf.asked[2:] == [[2]]


def test_when_the_store_fails_items_are_loaded(kind):
    only = {"read", "read_many", "write", "write_many", "begin", "begin_many"}
    face, shelf = kind(flaky(Batching(), rate=1.0, only=only)), Shelf()
    many = face.cached_many(shelf, ttl=60)
    assert face(many, [1, 2]) == {1: "1 v1", 2: "2 v1"}
    assert face(many, [1, 2]) == {1: "1 v2", 2: "2 v2"}
    assert face(many.refresh, 1) == {1: "1 v3"}
    face.close()


# -- the store -------------------------------------------------------------------------------------


class AsyncBatching:
    """`Batching`, to be awaited."""

    def __init__(self, store=None):
        self.store = Batching() if store is None else store
        self.calls = self.store.calls

    async def read(self, slot, now, /):
        return self.store.read(slot, now)

    async def begin(self, slot, now, outdate, /):
        return self.store.begin(slot, now, outdate)

    async def write(self, slot, entry, snapshot, now, /):
        return self.store.write(slot, entry, snapshot, now)

    async def delete(self, keys, /):
        self.store.delete(keys)

    async def invalidate(self, tags, /):
        self.store.invalidate(tags)

    async def read_many(self, slots, now, /):
        return self.store.read_many(slots, now)

    async def begin_many(self, slots, now, outdate, /):
        return self.store.begin_many(slots, now, outdate)

    async def write_many(self, writes, now, /):
        return self.store.write_many(writes, now)


def test_one_round_trip_each_way(kind):
    store = AsyncBatching() if kind.is_async else Batching()
    face, shelf = kind(store), Shelf(9)
    find = face.cached_many(shelf, ttl=60)
    assert face(find, []) == {}
    assert store.calls == []
    assert face(find, [1, 2, 9]) == {1: "1 v1", 2: "2 v1"}
    assert face(find, [1, 2, 3]) == {1: "1 v1", 2: "2 v1", 3: "3 v2"}
    assert face(find.refresh, 1, 2) == {1: "1 v3", 2: "2 v3"}
    assert face(find, [9]) == {}
    assert store.calls == [
        ("read_many", 3),
        ("write_many", 2),
        ("read_many", 3),
        ("write_many", 1),
        ("begin_many", 2),
        ("write_many", 2),
        ("read_many", 1),
    ]
    face.close()


class Telling(Batching):
    """A store that gives a snapshot with a stale entry, as one on a database."""

    __slots__ = ()

    def read(self, slot, now, /):
        found = super().read(slot, now)
        if isinstance(found, Entry) and found.fresh_until <= now:
            found.snapshot = self.begin(slot, now, False)
        return found


@pytest.fixture
def hundred(kind):
    """A store of a hundred entries, all stale, and what is asked of it; all loads fail when told to."""
    store = AsyncBatching() if kind.is_async else Batching()
    face, shelf, ids = kind(store), Shelf(), list(range(100))

    def find(**options):
        find = face.cached_many(shelf, ttl=10, **options)
        face(find, ids)
        face.clock.advance(11)
        store.calls.clear()
        return find

    yield face, shelf, ids, find, store.calls
    face.close()


def test_a_hundred_are_refreshed_in_two_round_trips(hundred):
    face, _, ids, find, calls = hundred
    face(find().refresh, *ids)
    assert calls == [("begin_many", 100), ("write_many", 100)]


def test_a_hundred_are_reloaded_behind_the_callers_back_in_two_round_trips(hundred):
    face, shelf, ids, find, calls = hundred
    face(find(stale_while_revalidate=60), ids)
    face.settle()
    assert calls == [("read_many", 100), ("begin_many", 100), ("write_many", 100)]
    assert len(shelf.asked) == 2


def test_a_hundred_are_loaded_after_their_end_in_two_round_trips_more(hundred):
    face, shelf, ids, find, calls = hundred
    face(find(stale_if_error=60), ids)
    assert calls == [("read_many", 100), ("begin_many", 100), ("write_many", 100)]
    assert len(shelf.asked) == 2


def test_a_hundred_reserves_are_one_round_trip_more(hundred):
    face, shelf, ids, find, calls = hundred
    found = find(stale_if_error=60)
    shelf.error = OSError("gone")
    assert face(found, ids)[99] == "99 v1"
    assert calls == [("read_many", 100), ("begin_many", 100), ("read_many", 100)]


def test_what_came_with_a_stale_entry_is_not_asked_for(kind):
    store = AsyncBatching(Telling()) if kind.is_async else Telling()
    face, shelf = kind(store), Shelf()
    find = face.cached_many(shelf, ttl=10, stale_while_revalidate=60)
    assert face(find, [1, 2])[1] == "1 v1"
    face.clock.advance(11)
    store.calls.clear()
    face(find, [1, 2])
    face.settle()
    assert store.calls == [("read_many", 2), ("write_many", 2)]
    assert face(find, [1, 2])[1] == "1 v2"
    face.close()


@pytest.mark.parametrize("batches", [True, False])
def test_an_event_names_the_stores_method_that_failed(kind, batches):
    only = {"read", "begin", "write"} | ({"read_many", "begin_many", "write_many"} if batches else set())
    store = Batching() if batches else MemoryCacheStore()
    if kind.is_async and batches:
        store = AsyncBatching()
    face = kind(flaky(store, rate=1.0, only=only), watched=True)
    many = face.cached_many(Shelf(), ttl=10)
    face(many, [1])
    face(many.refresh, 1)
    told = [event.operation for event in face.events if event.name == "store"]
    assert told == (["read_many", "begin_many"] if batches else ["read", "begin"])
    face.close()


def test_an_event_names_the_write_that_failed(kind):
    face = kind(flaky(MemoryCacheStore(), rate=1.0, only={"write"}), watched=True)
    face(face.cached_many(Shelf(), ttl=10), [1])
    assert [event.operation for event in face.events if event.name == "store"] == ["write"]
    face.close()


def test_a_flight_that_landed_meanwhile_is_read_again(kind):
    """Between the look of one call and its load another has loaded and stored."""

    class Late(MemoryCacheStore):
        __slots__ = ()

        def read(self, slot, now, /):
            found = super().read(slot, now)
            if then:
                then.pop()()
            return found

    store, shelf, then = Late(), Shelf(), []
    face = kind(store)
    find = face.cached_many(shelf, ttl=60)

    def meanwhile():
        entry = Entry("from another", expires=face.clock() + 60)
        slot = Slot(f"cache:{find.key(1)}", ("cache:",), None)
        store.write(slot, entry, None, face.clock())
        face.cache._reads.flights.landed += 1

    then.append(meanwhile)
    assert face(find, [1, 2]) == {1: "from another", 2: "2 v1"}
    assert shelf.asked == [[2]]
    face.close()


def test_all_stored_or_outdated_is_told(kind):
    store = MemoryCacheStore()
    face = kind(store, watched=True)

    def load(ids):
        if 1 in ids:
            store.invalidate(["cache:product:1"])
        return dict.fromkeys(ids, "v")

    find = face.cached_many(load, ttl=60, tags=["product:{id}"])
    face(find, [1, 2])
    face(find, [3])
    assert face.outcomes() == [
        ("get", "miss"),
        ("get", "miss"),
        ("load", "outdated"),
        ("get", "miss"),
        ("load", "ok"),
    ]
    face.close()


def test_ids_of_every_kind_in_every_collection(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=60)
    key = (1, "a")
    for ids in ([key, "x", b"x", None], (id_ for id_ in (key, "x")), {"x"}, {key: 0}.keys()):
        face(find, ids)
    assert shelf.asked == [[key, "x", b"x", None]]
    assert find.key(1) != find.key("1") != find.key(b"1")
    with pytest.raises(TypeError, match="unhashable"):
        face(find, [[1]])


def test_untyped_ids_that_are_equal_are_one(face):
    shelf = Shelf()
    find = face.cached_many(shelf, ttl=60, typed=False)
    assert face(find, [1]) == {1: "1 v1"}
    assert face(find, [1.0]) == {1.0: "1 v1"}
    typed = face.cached_many(shelf, ttl=60, version=2)
    assert face(typed, [1]) == {1: "1 v2"}
    assert face(typed, [1.0]) == {1.0: "1.0 v3"}


def test_lifetimes_of_items_are_jittered_one_by_one(kind):
    written = []

    class Store(MemoryCacheStore):
        __slots__ = ()

        def write(self, slot, entry, snapshot, now, /):
            written.append(entry.expires)
            return super().write(slot, entry, snapshot, now)

    face = kind(Store())
    face(face.cached_many(Shelf(), ttl=100, jitter=0.5), range(40))
    ends = {expires - face.clock() for expires in written}
    assert len(ends) > 30
    assert all(50 <= end <= 100 for end in ends)
    face.close()


def test_an_exception_kept_under_an_items_key_is_raised(face):
    def fail():
        raise KeyError("no")

    find = face.cached_many(Shelf(), ttl=60)
    for _ in range(2):
        with pytest.raises(KeyError, match="no"):
            face(face.cache.get_or_set, find.key(1), face.plain(fail), ttl=60, cache_exceptions=(KeyError,))
    with pytest.raises(KeyError, match="no"):
        face(find, [1])
