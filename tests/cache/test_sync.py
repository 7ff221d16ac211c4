"""The laws of `Cache`."""

from __future__ import annotations

import functools
import math
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from scalekit.cache import AsyncCache, Cache, CachePolicy, MemoryCacheStore
from scalekit.cache._awaitable import AwaitableStore
from scalekit.errors import ConfigurationError
from scalekit.testing import ManualClock

DEADLINE = 10


class Watched(MemoryCacheStore):
    """Counts the loads that have looked in vain: so many callers are at the gate."""

    def __init__(self):
        super().__init__()
        self.misses = 0

    def read(self, slot, now, /):
        found = super().read(slot, now)
        self.misses += not hasattr(found, "value")
        return found


def until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


class Loader:
    """A loader that says when it runs, and ends when it may."""

    def __init__(self, source=None):
        self.source = source or {"value": 0}
        self.calls = 0
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()

    def __call__(self):
        self.calls += 1
        value = self.source["value"]
        self.entered.release()
        assert self.gate.wait(DEADLINE)
        if isinstance(value, BaseException):
            raise value
        return value

    def load(self, x):
        return self()

    def wait_until_running(self):
        assert self.entered.acquire(timeout=DEADLINE)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def cache(clock):
    return Cache(clock=clock)


# -- one entry per call ----------------------------------------------------------------------------


def counting(cache, **options):
    calls = []

    @cache.cached(**{"ttl": 60, **options})
    def profile(user_id: int, locale: str = "en"):
        calls.append((user_id, locale))
        return f"{user_id} {locale} {len(calls)}"

    profile.calls = calls
    return profile


def test_one_call_has_one_entry_however_it_is_written(cache):
    profile = counting(cache)
    first = profile(7)
    assert {profile(7), profile(user_id=7), profile(7, "en"), profile(7, locale="en")} == {first}
    assert profile(8) != first
    assert profile(7, "fr") != first
    assert len(profile.calls) == 3


def test_a_wrong_call_is_a_type_error_of_python(cache):
    profile = counting(cache)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'user_id'"):
        profile()
    with pytest.raises(TypeError, match="unexpected keyword argument 'user'"):
        profile(user=7)


def test_its_key_is_the_key_of_get_and_delete(cache):
    profile = counting(cache)
    value = profile(7)
    assert isinstance(profile.key(7), str)
    assert profile.key(7) == profile.key(user_id=7) == profile.key(7, "en") != profile.key(7, "fr")
    assert cache.get(profile.key(7)) == value
    cache.delete(profile.key(7))
    assert cache.get(profile.key(7)) is None
    assert profile(7) != value


def test_it_keeps_its_looks(cache):
    profile = counting(cache)
    assert profile.__name__ == "profile"
    assert profile.__wrapped__(7) == "7 en 1"
    assert profile.invalidate.__qualname__.endswith("profile.invalidate")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1,), (True,)),
        ((1,), (1.0,)),
        ((1,), ("1",)),
        ((None,), ("None",)),
        (("a b", "c"), ("a", "b c")),
        (((1,),), ([1],)),
    ],
)
def test_different_arguments_have_different_entries(cache, a, b):
    @cache.cached(ttl=60)
    def same(x, y=None):
        return (x, y)

    for _ in range(3):
        for args in (a, b):
            value = same(*args)
            assert value[: len(args)] == args
            assert type(value[0]) is type(args[0])
    assert same.key(*a) != same.key(*b)


def test_annotations_do_not_let_other_classes_through(cache):
    @cache.cached(ttl=60)
    def kind(x: int, y: "str" = "a"):  # noqa: UP037
        return (type(x).__name__, type(y).__name__)

    class Text(str):  # noqa: SLOT000  # as small as a user writes it
        def __cache_key__(self):
            return str(self)

        __hash__ = str.__hash__

    for _ in range(2):
        assert kind(1) == ("int", "str")
        assert kind(True) == ("bool", "str")
        assert kind(1.0) == ("float", "str")
        assert kind(1, Text("a")) == ("int", "Text")


def test_untyped_equal_numbers_share_an_entry(cache):
    profile = counting(cache, typed=False)
    assert profile(1) == profile(True) == profile(1.0) == profile(1)
    assert profile.calls == [(1, "en")]
    profile.invalidate(True)
    assert profile(1).endswith("2")


def test_every_kind_of_parameter(cache):
    calls = []

    @cache.cached(ttl=60)
    def f(a, /, b, c=3, *rest, d, e=5, **more):
        calls.append((a, b, c, rest, d, e, more))
        return len(calls)

    assert f(1, 2, d=4) == f(1, b=2, d=4, e=5) == f(1, 2, 3, d=4) == 1
    assert f(1, 2, 3, 4, d=4) == f(1, 2, 3, 4, d=4) == 2
    assert f(1, 2, d=4, x=1, y=2) == f(1, 2, y=2, x=1, d=4) == 3
    assert calls[1:] == [(1, 2, 3, (4,), 4, 5, {}), (1, 2, 3, (), 4, 5, {"x": 1, "y": 2})]

    @cache.cached(ttl=60)
    def g(*, a, b=2):
        calls.append((a, b))
        return len(calls)

    assert g(a=1) == g(b=2, a=1) == 4
    assert calls[3] == (1, 2)


def test_a_function_of_nothing(cache):
    calls = []

    @cache.cached(ttl=60)
    def settings():
        calls.append(1)
        return len(calls)

    assert settings() == settings() == 1
    settings.invalidate()
    assert settings() == 2


def test_unhashable_arguments(cache):
    calls = []

    @cache.cached(ttl=60)
    def total(numbers):
        calls.append(numbers)
        return sum(numbers)

    assert total([1, 2]) == total([1, 2]) == 3
    assert len(calls) == 1
    with pytest.raises(ConfigurationError, match="expected numbers as a value with a stable text"):
        total(object())


def test_what_is_excluded_does_not_tell_entries_apart(cache):
    calls = []

    @cache.cached(ttl=60, exclude=("db",))
    def load(db, user_id, session=None):
        calls.append(db)
        return len(calls)

    assert load(object(), 7) == load(object(), 7) == 1

    @cache.cached(ttl=60)
    def load_in(session, user_id):
        calls.append(session)
        return len(calls)

    assert load_in(object(), 7) == load_in(object(), 7) == 2


class Account:
    def __cache_key__(self):
        return "account"


@pytest.mark.parametrize("session", ["s1", b"s1", 1, 1.5, True, uuid.UUID(int=1), ("s1",), ["s1"], Account()])
def test_a_session_that_could_tell_users_apart_is_not_left_out_unsaid(cache, session):
    def whoami(session, *, loud=False):
        return session

    unsaid = cache.cached(ttl=60)(whoami)
    for call in (unsaid, unsaid.key, unsaid.invalidate, unsaid.refresh):
        with pytest.raises(
            ConfigurationError, match=r"expected session .*exclude=\(\).*; got <class"
        ) as caught:
            call(session)
        assert "s1" not in str(caught.value)
    assert cache.stats().loads == 0

    told = cache.cached(ttl=60, exclude=(), version="told")(whoami)
    assert (told(session), told("other")) == (session, "other")
    shared = cache.cached(ttl=60, exclude=("session",), version="shared")(whoami)
    assert shared(session) == shared("other") == session
    own = cache.cached(ttl=60, key=lambda session, loud: session, version="own")(whoami)
    assert (own(session), own("other")) == (session, "other")


def test_a_session_that_is_none_or_an_object_is_left_out(cache):
    @cache.cached(ttl=60)
    def whoami(session=None):
        return session

    assert whoami() is whoami(object()) is whoami([object()]) is None
    with pytest.raises(ConfigurationError, match="expected session as an object"):
        whoami("s1")


def test_a_key_of_ones_own(cache):
    calls = []

    @cache.cached(ttl=60, key=lambda user, *_: user["id"])
    def load(user, extra=None):
        calls.append(user)
        return len(calls)

    assert load({"id": 1, "x": object()}) == load({"id": 1}, 5) == 1
    assert load({"id": "1"}) == 2
    assert load.key({"id": 1}) != load.key({"id": "1"})


def test_callables_get_every_kind_of_argument_as_the_function_does(cache):
    seen = []

    def note(a, b=2, *rest, c=3, **more):
        seen.append((a, b, rest, c, more))
        return ["t"]

    @cache.cached(ttl=60, tags=note, key=note)
    def f(a, b=2, *rest, c=3, **more):
        return 1

    assert f(1) == f(1, 2, 4, c=5, d=6) == 1
    assert seen == [(1, 2, (), 3, {})] * 2 + [(1, 2, (4,), 5, {"d": 6})] * 2


def test_a_version_makes_new_entries(cache):
    one, two = counting(cache, version=1), counting(cache, version="2")
    assert one.key(7) != two.key(7)


# -- lifetimes -------------------------------------------------------------------------------------


def test_a_value_lives_for_its_ttl_from_the_end_of_its_load(cache, clock):
    calls = []

    @cache.cached(ttl="1m")
    def load(x):
        clock.advance(30)
        calls.append(x)
        return len(calls)

    assert load(1) == 1
    clock.advance(59.999)
    assert load(1) == 1
    clock.advance(0.001)
    assert load(1) == 2


def test_none_is_cached_and_may_have_a_lifetime_of_its_own(cache, clock):
    calls = []

    def find(x):
        calls.append(x)

    same = cache.cached(ttl=60)(find)
    same(1)
    same(1)
    assert len(calls) == 1
    short = cache.cached(ttl=60, none_ttl=1, version=1)(find)
    short(1)
    clock.advance(1)
    short(1)
    assert len(calls) == 3
    never = cache.cached(CachePolicy(ttl=60), none_ttl=0, version=2)(find)
    never(1)
    never(1)
    assert len(calls) == 5


# -- get, set and so on ----------------------------------------------------------------------------


def test_get_set_delete(cache, clock):
    assert cache.get("k") is None
    assert cache.get("k", default=5) == cache.get("k", 5) == 5
    cache.set("k", None, ttl="1m")
    assert cache.get("k", 5) is None
    cache.set("k", 1, ttl="1m", tags=["t"])
    assert cache.get("k") == 1
    clock.advance("1m")
    assert cache.get("k") is None
    cache.set("k", 1, ttl="1m", tags=["t"])
    cache.set("l", 1, ttl="1m")
    cache.delete("k", "never")
    assert (cache.get("k"), cache.get("l")) == (None, 1)
    cache.delete()


def test_get_or_set(cache, clock):
    calls = []

    def load():
        calls.append(1)
        return len(calls)

    assert [cache.get_or_set("k", load, ttl=60, tags=["t"]) for _ in range(3)] == [1, 1, 1]
    cache.invalidate_tags("t")
    assert cache.get_or_set("k", load, ttl=60, tags=["t"]) == 2
    clock.advance(60)
    assert cache.get_or_set("k", load, ttl=60) == 3
    assert cache.get_or_set("n", lambda: None, ttl=60, none_ttl=0) is None
    assert cache.get("n", "absent") == "absent"


def test_tags_are_templates_or_a_callable(cache):
    by_template = counting(cache, tags=["user:{user_id}", "in:{locale!r:>6}", "all"], version="template")
    by_callable = counting(cache, tags=lambda user_id, locale: [f"user:{user_id}"], version="callable")
    for tag in ("user:7", "in:  'en'", "all"):
        value = by_template(7)
        cache.invalidate_tags(tag)
        assert by_template(7) != value
    value, other = by_callable(user_id=7), by_callable(8)
    cache.invalidate_tags("user:7", "user:9")
    assert by_callable(7) != value
    assert by_callable(8) == other


def test_templates_reach_into_arguments(cache):
    class User:
        id = 7

    calls = []

    @cache.cached(ttl=60, tags=["user:{user.id}", "of:{data[k]}"], exclude=["user", "data"])
    def load(user, data):
        calls.append(1)
        return len(calls)

    load(User(), {"k": 1})
    cache.invalidate_tags("user:7")
    assert load(User(), {"k": 1}) == 2
    cache.invalidate_tags("of:1")
    assert load(User(), {"k": 1}) == 3


def test_clear_is_of_this_namespace():
    store = MemoryCacheStore()
    caches = [Cache(store, namespace=name) for name in ("a", "a:b", "a%3Ab")]
    for cache in caches:
        cache.set("k", cache, ttl=60, tags=["t"])
        cache.set("b:k", 0, ttl=60)
    assert [cache.get("k") for cache in caches] == caches
    assert [cache.get("b:k") for cache in caches] == [0, 0, 0]
    caches[0].clear()
    assert [cache.get("k") for cache in caches] == [None, *caches[1:]]
    caches[1].invalidate_tags("t")
    assert [cache.get("k") for cache in caches] == [None, None, caches[2]]


def test_refresh_loads_now(cache):
    profile = counting(cache)
    assert profile(7) == "7 en 1"
    assert profile.refresh(7) == "7 en 2"
    assert profile(7) == "7 en 2"


def test_a_refresh_that_loads_what_is_not_cached_removes_the_entry(cache):
    source = {"value": 1}
    load = cache.cached(ttl=60, none_ttl=0)(lambda x: source["value"])
    assert load(1) == 1
    source["value"] = None
    assert load.refresh(1) is None
    assert load(1) is None


def test_a_failed_refresh_keeps_the_entry(cache):
    source = {"value": 1}

    @cache.cached(ttl=60)
    def load(x):
        if source["value"] is None:
            raise LookupError
        return source["value"]

    assert load(1) == 1
    source["value"] = None
    with pytest.raises(LookupError):
        load.refresh(1)
    assert load(1) == 1


def test_a_refresh_wins_over_a_load_that_began_before_it(cache, pool):
    loader = Loader()
    load = cache.cached(ttl=60)(lambda x: loader() if not loader.gate.is_set() else loader.source["value"])
    running = pool.submit(load, 1)
    loader.wait_until_running()
    loader.source["value"] = 1
    refreshing = pool.submit(load.refresh, 1)
    loader.wait_until_running()
    loader.gate.set()
    assert (running.result(DEADLINE), refreshing.result(DEADLINE)) == (0, 1)
    assert load(1) == 1


def test_statistics(cache):
    profile = counting(cache, tags=["user:{user_id}"])
    profile(7)
    profile(7)
    profile(7)
    cache.get("none")
    cache.invalidate_tags("user:7", "user:8")
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("k", lambda: 1 / 0, ttl=1)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.load_errors, stats.invalidations) == (2, 3, 2, 1, 2)
    assert stats.hit_ratio == 0.4
    profile(7)
    assert profile(7)
    assert cache.stats().hits == 3


def test_a_hit_after_an_invalidation_elsewhere_is_a_hit(cache):
    profile = counting(cache, tags=["user:{user_id}"])
    value = profile(7)
    profile(8)
    for _ in range(3):
        cache.invalidate_tags("user:8")
        profile(8)
        assert profile(7) == value
    assert cache.stats().hits == 3


def test_a_hit_asks_the_store_nothing_and_yet_counts_as_use():
    class Counted(MemoryCacheStore):
        reads = 0

        def read(self, slot, now, /):
            self.reads += 1
            return super().read(slot, now)

    store = Counted(max_entries=10)
    cache = Cache(store)
    profile = counting(cache)

    class Users:
        @cache.cached(ttl=60)
        def find(self, user_id):
            return user_id

    users = Users()
    profile(7)
    users.find(7)
    for i in range(100):
        profile(7)
        users.find(7)
        cache.set(f"scan{i}", i, ttl=60)
    assert profile.calls == [(7, "en")]
    assert store.reads == 2
    assert cache.stats().hits == 200


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


@pytest.fixture(params=["store alone", "index"])
def store(request):
    if request.param == "index":
        return MemoryCacheStore()

    class Plain:
        """A store without the optional capability."""

        def __init__(self):
            inner = MemoryCacheStore()
            self.read, self.begin, self.write = inner.read, inner.begin, inner.write
            self.delete, self.invalidate = inner.delete, inner.invalidate

    return Plain()


def test_a_value_loaded_before_an_invalidation_is_not_served_after_it(store, pool, invalidate):
    cache = Cache(store)
    loader = Loader({"value": "old"})
    load = cache.cached(ttl=60, tags=["t:{x}"])(loader.load)
    running = pool.submit(load, 1)
    loader.wait_until_running()
    loader.source["value"] = "new"
    invalidate(cache, load)
    loader.gate.set()
    assert running.result(DEADLINE) == "old"
    assert load(1) == "new"


def test_a_cached_value_is_not_served_after_an_invalidation(store, invalidate):
    cache = Cache(store)
    source = {"value": "old"}
    load = cache.cached(ttl=60, tags=["t:{x}"])(lambda x: source["value"])
    for value in ("old", "new", "newest"):
        source["value"] = value
        assert load(1) == load(1) == value
        invalidate(cache, load)


def test_a_call_after_an_invalidation_does_not_join_the_load_from_before(store, pool, invalidate):
    cache = Cache(store)
    loader = Loader({"value": "old"})
    load = cache.cached(ttl=60, tags=["t:{x}"])(loader.load)
    before = pool.submit(load, 1)
    loader.wait_until_running()
    loader.source["value"] = "new"
    invalidate(cache, load)
    after = pool.submit(load, 1)
    loader.wait_until_running()
    loader.gate.set()
    assert (before.result(DEADLINE), after.result(DEADLINE)) == ("old", "new")
    assert load(1) == "new"


def test_set_wins_over_a_running_load(cache, pool):
    loader = Loader({"value": "loaded"})
    running = pool.submit(cache.get_or_set, "k", loader, ttl=60)
    loader.wait_until_running()
    cache.set("k", "set", ttl=60)
    loader.gate.set()
    assert running.result(DEADLINE) == "loaded"
    assert cache.get("k") == "set"


def test_nothing_stale_under_stress(invalidate):
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for indexed in (True, False):
            stress(invalidate, indexed=indexed)
    finally:
        sys.setswitchinterval(switch)


def stress(invalidate, *, indexed):
    cache = Cache(on_event=None if indexed else lambda event: None)
    source = committed = 0
    stale = []
    running = True

    @cache.cached(ttl=60, tags=["t:{x}"])
    def load(x):
        value = source
        for _ in range(20):
            pass
        return value

    def update():
        nonlocal source, committed, running
        try:
            for _ in range(300):
                source += 1
                invalidate(cache, load)
                committed = source
        finally:
            running = False

    def read():
        while running:
            oldest = committed
            value = load(1)
            if value < oldest:
                stale.append((value, oldest))

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        pool.submit(update).result(DEADLINE)
        for reader in readers:
            reader.result(DEADLINE)
    assert not stale, stale[:5]


# -- one load at a time ----------------------------------------------------------------------------


def test_of_many_threads_one_loads(pool):
    store = Watched()
    cache = Cache(store)
    loader = Loader({"value": object()})
    load = cache.cached(ttl=60)(loader.load)
    callers = [pool.submit(load, 1) for _ in range(20)]
    until(lambda: store.misses == 20)
    loader.gate.set()
    assert {caller.result(DEADLINE) for caller in callers} == {loader.source["value"]}
    assert loader.calls == 1
    assert cache.stats().misses == 20


def test_a_miss_that_finds_the_flight_landed_looks_again():
    """The window between reading the store and joining a flight: no second load."""

    class Slow(MemoryCacheStore):
        def read(self, slot, now, /):
            found = super().read(slot, now)
            if threading.current_thread() is late and not hasattr(found, "value"):
                read.set()
                assert landed.wait(DEADLINE)
            return found

    read, landed = threading.Event(), threading.Event()
    cache = Cache(Slow())
    calls = []
    load = cache.cached(ttl=60)(lambda x: calls.append(x) or len(calls))
    results = []
    late = threading.Thread(target=lambda: results.append(load(1)))
    late.start()
    assert read.wait(DEADLINE)
    assert load(1) == 1
    landed.set()
    late.join(DEADLINE)
    assert (results, len(calls)) == ([1], 1)


def test_an_exception_reaches_every_waiter_and_is_not_kept(pool):
    store = Watched()
    cache = Cache(store)
    error = LookupError("gone")
    loader = Loader({"value": error})
    load = cache.cached(ttl=60)(loader.load)
    callers = [pool.submit(load, 1) for _ in range(5)]
    until(lambda: store.misses == 5)
    loader.gate.set()
    assert [caller.exception(DEADLINE) for caller in callers] == [error] * 5
    assert loader.calls == 1
    loader.source["value"] = 1
    assert load(1) == 1
    assert cache.stats().load_errors == 1


def test_an_interrupted_leader_is_replaced(pool):
    store = Watched()
    cache = Cache(store)
    loader = Loader({"value": KeyboardInterrupt()})
    load = cache.cached(ttl=60)(loader.load)
    leader = pool.submit(load, 1)
    loader.wait_until_running()
    waiter = pool.submit(load, 1)
    until(lambda: store.misses == 2)
    loader.source["value"] = "taken over"
    loader.gate.set()
    assert isinstance(leader.exception(DEADLINE), KeyboardInterrupt)
    assert waiter.result(DEADLINE) == "taken over"


def test_other_keys_do_not_wait(cache, pool):
    loader = Loader()
    load = cache.cached(ttl=60)(lambda x: loader() if x == 1 else x)
    running = pool.submit(load, 1)
    loader.wait_until_running()
    assert load(2) == 2
    loader.gate.set()
    assert running.result(DEADLINE) == 0


# -- loaders that come back ------------------------------------------------------------------------


def test_a_loader_may_come_back_to_its_own_key(cache):
    depth = []

    @cache.cached(ttl=60)
    def load(x):
        depth.append(x)
        return load(x) + 1 if len(depth) < 3 else 0

    assert load(1) == 2
    assert load(1) == 2


def test_a_loader_may_come_back_through_another(cache):
    depth = []

    @cache.cached(ttl=60)
    def one(x):
        depth.append(x)
        return two(x) if len(depth) < 2 else "end"

    @cache.cached(ttl=60)
    def two(x):
        return one(x)

    assert one(1) == "end"


def test_loaders_in_two_threads_that_wait_for_each_other(pool):
    store = Watched()
    caches = {"a": Cache(store, namespace="a"), "b": Cache(store, namespace="b")}
    both = threading.Barrier(2)
    entered = set()

    def load(name):
        first = name not in entered
        entered.add(name)
        if not first:
            return name
        both.wait(DEADLINE)
        other = "b" if name == "a" else "a"
        return name + caches[other].get_or_set("k", lambda: load(other), ttl=60)

    callers = [
        pool.submit(caches[name].get_or_set, "k", lambda name=name: load(name), ttl=60) for name in "ab"
    ]
    answers = {caller.result(DEADLINE) for caller in callers}
    assert {answer[0] for answer in answers} == {"a", "b"}


def test_a_loader_that_invalidates_itself_and_comes_back(cache):
    depth = []

    @cache.cached(ttl=60)
    def load(x):
        depth.append(x)
        if len(depth) > 1:
            return "inner"
        load.invalidate(x)
        return "outer of " + load(x)

    assert load(1) == "outer of inner"
    assert load(1) == "inner"


# -- methods ---------------------------------------------------------------------------------------


class Repo:
    cache = Cache()
    calls = ()

    @cache.cached(ttl=60, tags=["user:{user_id}", "repo:{self.name}"])
    def find(self, user_id: int):
        """Find."""
        self.calls += (user_id,)
        return (self.name, len(self.calls))

    @classmethod
    @cache.cached(ttl=60)
    def of_class(cls, x):
        return (cls.__name__, x)

    @staticmethod
    @cache.cached(ttl=60)
    def of_none(x):
        return object()

    def __init__(self, name):
        self.name = name


class TenantRepo(Repo):
    def __cache_key__(self):
        return self.name


@pytest.fixture
def fresh_repo():
    Repo.cache.clear()


@pytest.mark.usefixtures("fresh_repo")
def test_self_is_left_out_of_the_key():
    one, two = Repo("one"), Repo("two")
    assert one.find(7) == two.find(7) == ("one", 1)
    assert one.find.key(7) == Repo.find.key(two, 7)


@pytest.mark.usefixtures("fresh_repo")
def test_an_object_may_say_what_tells_it_apart():
    plain, one, same, two = Repo("plain"), TenantRepo("one"), TenantRepo("one"), TenantRepo("two")
    for _ in range(2):
        assert plain.find(7)[0] == "plain"
        assert one.find(7) == same.find(7) == ("one", 1)
        assert two.find(7) == ("two", 1)


@pytest.mark.usefixtures("fresh_repo")
def test_the_methods_of_a_method_are_bound():
    repo = Repo("one")
    assert repo.find(7) == ("one", 1)
    repo.find.invalidate(7)
    assert repo.find(7) == ("one", 2)
    assert repo.find.refresh(user_id=7) == ("one", 3)
    assert repo.find.__wrapped__(7) == ("one", 4)
    assert repo.find(7) == Repo.find(repo, 7) == ("one", 3)
    Repo.find.invalidate(repo, 7)
    assert repo.find(7) == ("one", 5)
    Repo.cache.invalidate_tags("repo:one")
    assert repo.find(7) == ("one", 6)
    assert (repo.find.__name__, Repo.find.__doc__) == ("find", "Find.")


@pytest.mark.usefixtures("fresh_repo")
def test_class_and_static_methods():
    assert Repo.of_class(1) == Repo("x").of_class(1) == ("Repo", 1)
    value = Repo.of_none(1)
    assert Repo.of_none(1) is value
    Repo.of_none.invalidate(1)
    assert Repo.of_none(1) is not value


# -- bad input -------------------------------------------------------------------------------------


def test_a_coroutine_function_needs_the_other_face(cache):
    with pytest.raises(TypeError, match="Cache cannot cache it, use AsyncCache"):

        @cache.cached(ttl=60)
        async def load(x): ...


def test_a_generator_needs_a_list(cache):
    def rows():
        yield 1

    async def async_rows():
        yield 1

    for function in (rows, async_rows):
        with pytest.raises(TypeError, match="can be read only once: return a list"):
            cache.cached(ttl=60)(function)


def test_a_loader_that_returns_a_coroutine_is_refused(cache):
    async def load(): ...

    with pytest.raises(TypeError, match="the loader returned a coroutine: use AsyncCache"):
        cache.get_or_set("k", load, ttl=60)
    assert cache.stats().load_errors == 1


def test_a_store_that_must_be_awaited_is_refused():
    with pytest.raises(TypeError, match="cannot await AwaitableStore: use AsyncCache"):
        Cache(AwaitableStore(MemoryCacheStore()))


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("store", {"store": MemoryCacheStore}),
        ("store", {"store": {}}),
        ("namespace", {"namespace": ""}),
        ("namespace", {"namespace": 5}),
        ("clock", {"clock": 5}),
        ("on_event", {"on_event": "log"}),
    ],
)
def test_a_bad_cache_is_refused(parameter, arguments):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} as .*; got"):
        Cache(**arguments)


def function(x):
    return x


@pytest.mark.parametrize(
    ("parameter", "options"),
    [
        ("ttl", {"ttl": None}),
        ("ttl", {"ttl": 0}),
        ("none_ttl", {"none_ttl": -1}),
        ("policy", {"policy": "1h"}),
        ("tags", {"tags": "user:{x}"}),
        ("tags", {"tags": ["user:{y}"]}),
        ("tags", {"tags": ["user:{}"]}),
        ("tags", {"tags": ["user:{x"]}),
        ("tags", {"tags": [""]}),
        ("tags", {"tags": [5]}),
        ("tags", {"tags": 5}),
        ("key", {"key": "{x}"}),
        ("version", {"version": 1.5}),
        ("version", {"version": True}),
        ("version", {"version": ""}),
        ("typed", {"typed": 1}),
        ("exclude", {"exclude": "x"}),
        ("exclude", {"exclude": ["y"]}),
        ("exclude", {"exclude": 5}),
        ("exclude", {"exclude": [5]}),
    ],
)
def test_bad_options_are_refused(cache, parameter, options):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got"):
        cache.cached(**{"ttl": 60, **options})(function)


@pytest.mark.parametrize(("parameter", "bad"), [("tags", "user:{y}"), ("exclude", "y")])
def test_what_names_no_parameter_is_told_which_there_are(cache, parameter, bad):
    decorate = cache.cached(**{"ttl": 60, parameter: [bad]})
    for refused, parameters in ((function, "x"), (lambda: 1, "it has none")):
        with pytest.raises(ConfigurationError) as caught:
            decorate(refused)
        expected = f"expected {parameter} to name only parameters of the function ({parameters}); got '{bad}'"
        assert str(caught.value) == expected


def test_a_loader_that_is_no_function_is_refused(cache):
    with pytest.raises(ConfigurationError, match="expected load as a function without arguments; got 5"):
        cache.get_or_set("a", 5, ttl=1)
    cache.set("a", 1, ttl=1)
    with pytest.raises(ConfigurationError, match="expected load"):
        cache.get_or_set("a", 5, ttl=1)


@pytest.mark.parametrize("bad", [5, None, int, "f", min])
def test_what_is_no_function_is_refused(cache, bad):
    with pytest.raises(ConfigurationError, match=r"expected function .*; got"):
        cache.cached(ttl=60)(bad)


@pytest.mark.parametrize("bad", [functools.partial(function, 1), Loader({})])
def test_what_has_no_name_is_refused_with_the_remedy(cache, bad):
    with pytest.raises(
        ConfigurationError, match=r"expected function with a name for its keys: a partial .* def"
    ):
        cache.cached(ttl=60)(bad)


def test_bad_keys_and_tags_are_refused(cache):
    calls = [
        lambda: cache.get(""),
        lambda: cache.get(5),
        lambda: cache.set("", 1, ttl=1),
        lambda: cache.delete("a", ""),
        lambda: cache.get_or_set(None, int, ttl=1),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="expected key as a text"):
            call()
    tag_calls = [
        lambda: cache.invalidate_tags(""),
        lambda: cache.invalidate_tags(7),
        lambda: cache.set("k", 1, ttl=1, tags="t"),
        lambda: cache.set("k", 1, ttl=1, tags=[None]),
        lambda: cache.cached(ttl=1, tags=lambda x: "t")(function)(1),
        lambda: cache.cached(ttl=1, tags=["{x}"])(function)(""),
    ]
    for call in tag_calls:
        with pytest.raises(ConfigurationError, match="expected tags as a"):
            call()
    with pytest.raises(ConfigurationError, match=r"as a list of texts, such as \['t'\]; got 't'"):
        cache.set("k", 1, ttl=1, tags="t")
    with pytest.raises(ConfigurationError, match="expected ttl"):
        cache.set("k", 1, ttl=0)


def test_a_list_where_each_has_a_place_of_its_own_is_to_be_unpacked(cache):
    for call in (cache.invalidate_tags, cache.delete):
        for given in (["a"], ("a", "b"), {"a"}):
            with pytest.raises(ConfigurationError, match=r"as a text .* \(unpack a list with \*\); got"):
                call(given)


@pytest.mark.parametrize("face", [Cache, AsyncCache])
def test_a_name_for_a_store_is_a_namespace(face):
    with pytest.raises(
        ConfigurationError, match=r"CacheStore \(did you mean namespace='shop'\?\); got 'shop'"
    ):
        face("shop")
    with pytest.raises(ConfigurationError, match="CacheStore; got"):
        face({})


@pytest.mark.parametrize("given", ["redis://localhost", redis.Redis()])
def test_who_gives_a_server_or_a_client_is_told_of_the_store_and_the_link(given):
    with pytest.raises(ConfigurationError, match=r"such as RedisCacheStore\(RedisLink\.from_url\("):
        Cache(given)
    with pytest.raises(ConfigurationError, match=r"such as AsyncRedisCacheStore\(AsyncRedisLink\.from_url\("):
        AsyncCache(given)


def test_functions_that_one_def_makes_need_versions(cache):
    def make(area, version=None):
        @cache.cached(ttl=60, version=version)
        def load(x):
            return (area, x)

        return load

    load = make(1)
    cache.cached(ttl=60)(load.__wrapped__)
    with pytest.raises(ConfigurationError, match="expected version different for each function"):
        make(2)
    assert make(2, version=2)(1) == (2, 1)


def test_functions_of_one_name_need_versions(cache):
    up = cache.cached(ttl=9)(lambda s: s.upper())
    cached = cache.cached(ttl=9)
    with pytest.raises(
        ConfigurationError, match=r"expected version different .* named .*<lambda> in .*; got None"
    ):
        [cached(lambda s: s.upper()), cached(lambda s: s.lower())]
    low = cache.cached(ttl=9, version="low")(lambda s: s.lower())
    assert (up("Ab"), low("Ab")) == ("AB", "ab")


@pytest.mark.parametrize(("first", "second"), [("'a'", "'b'"), ("1", "True"), ("x", "[y for y in x]")])
def test_a_redefined_function_needs_a_version(cache, first, second):
    scope = {"__name__": "shop"}
    exec(f"def g(x): return {first}", scope)
    cache.cached(ttl=9)(scope["g"])
    exec(f"def g(x): return {second}", scope)
    with pytest.raises(
        ConfigurationError, match=r"expected version different .* named shop\.g in .*; got None"
    ):
        cache.cached(ttl=9)(scope["g"])
    cache.cached(ttl=9, version=2)(scope["g"])


def test_methods_bound_to_different_objects_need_versions(cache):
    one, two = Loader({"value": 1}), Loader({"value": 2})
    cache.cached(ttl=9)(one.load)
    cache.cached(ttl=9)(one.load)
    with pytest.raises(ConfigurationError, match="expected version different"):
        cache.cached(ttl=9)(two.load)


class Scaled:
    def __init__(self, function, factor):
        functools.update_wrapper(self, function)
        self.factor = factor

    def __call__(self, x):
        return self.__wrapped__(x) * self.factor


class Shifted(Scaled):
    def __call__(self, x):
        return self.__wrapped__(x) + self.factor


def test_objects_that_are_called_need_versions(cache):
    double = Scaled(function, 2)
    assert cache.cached(ttl=9)(double)(1) == cache.cached(ttl=9)(double)(1) == 2 * function(1)
    bare = [Scaled(function, factor) for factor in (2, 3)]
    for each in bare:
        each.__qualname__ = each.__name__ = "bare"
        del each.__wrapped__
    cache.cached(ttl=9)(bare[0])
    for other in (Scaled(function, 3), Shifted(function, 2), bare[1]):
        with pytest.raises(ConfigurationError, match="expected version different"):
            cache.cached(ttl=9)(other)
    assert cache.cached(ttl=9, version=2)(Scaled(function, 3))(1) == 3 * function(1)


def test_a_reloaded_module_may_define_objects_that_are_called(cache):
    source = """
@cache.cached(ttl=9)
@(lambda function: Kind(function, {}))
def g(x): return x
"""
    scope = {"__name__": "shop", "cache": cache, "Kind": Scaled}
    for factor in (2, 3):
        exec(source.format(factor), scope)
    scope["Kind"] = Shifted
    with pytest.raises(ConfigurationError, match="expected version different"):
        exec(source.format(3), scope)


def around(called):
    """Return a function around one of C's, as a module that is loaded brings it."""
    scope = {"__name__": "shop", "called": called}
    exec("def wrapper(x): return called(x)", scope)
    return functools.update_wrapper(scope["wrapper"], called)


@pytest.mark.parametrize("called", [math.floor, str.upper, len])
def test_functions_of_c_may_be_wrapped_once_more(cache, called):
    cache.cached(ttl=9)(around(called))
    cache.cached(ttl=9)(around(called))


def test_methods_of_c_that_belong_to_different_objects_need_versions(cache):
    cache.cached(ttl=9)(around({"a": 1}.__contains__))
    with pytest.raises(ConfigurationError, match="expected version different"):
        cache.cached(ttl=9)(around({"a": 2}.__contains__))


def tripled(function):
    @functools.wraps(function)
    def inner(x):
        return 3 * function(x)

    return inner


def test_a_function_and_its_decorated_self_need_versions(cache):
    cache.cached(ttl=9)(function)
    with pytest.raises(ConfigurationError, match="expected version different"):
        cache.cached(ttl=9)(tripled(function))
    other = Cache()
    other.cached(ttl=9)(tripled(function))
    with pytest.raises(ConfigurationError, match="expected version different"):
        other.cached(ttl=9)(tripled(function))


@pytest.mark.parametrize("decorator", ["", "@tripled"])
def test_a_reloaded_module_keeps_its_entries(cache, decorator):
    source = f"""
@cache.cached(ttl=9)
{decorator}
def g(x): return [x + 1 for _ in range(2)]

class Child(dict):
    @cache.cached(ttl=9)
    def find(self, x): return super().get(x)
"""
    scope = {"__name__": "shop", "cache": cache, "tripled": tripled}
    exec(source, scope)
    first = scope["g"](1)
    exec("# a line above moves all that follows" + source, scope)
    assert scope["g"](1) is first


# -- events ----------------------------------------------------------------------------------------


def test_events(clock):
    events = []
    cache = Cache(namespace="shop", clock=clock, on_event=events.append)

    @cache.cached(ttl=60, tags=["user:{x}"])
    def load(x):
        clock.advance(2)
        return x

    load(1)
    load(1)
    load.invalidate(1)
    cache.invalidate_tags("user:1")
    cache.clear()
    cache.set("k", 1, ttl=1, tags=["t"])
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("z", lambda: 1 / 0, ttl=1)
    cache.get_or_set("o", cache.clear, ttl=1)
    key = "shop:" + load.key(1)
    tags = ("shop:", "shop:user:1")
    seen = [(e.block, e.name, e.outcome, e.key, e.seconds, e.tags) for e in events]
    assert seen[:6] == [
        ("cache", "get", "miss", key, None, tags),
        ("cache", "load", "ok", key, 2.0, tags),
        ("cache", "get", "hit", key, None, tags),
        ("cache", "delete", "ok", key, None, ()),
        ("cache", "invalidate", "ok", None, None, ("shop:user:1",)),
        ("cache", "clear", "ok", None, None, ("shop:",)),
    ]
    assert [(e.name, e.outcome) for e in events[6:]] == [
        ("set", "ok"),
        ("get", "miss"),
        ("load", "error"),
        ("get", "miss"),
        ("clear", "ok"),
        ("load", "outdated"),
    ]
