"""One load at a time: who joins which load, what is left of it, and that nobody waits for himself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
import traceback
import weakref
from types import SimpleNamespace

import pytest

from scalekit.cache import AsyncCache, Cache, MemoryCacheStore, _flight
from scalekit.cache._flight import Flight, is_circle, wait_begins, wait_ends
from scalekit.testing import Gate, ManualClock
from tests.cache.either import DEADLINE, Source, Sync
from tests.cache.leasing import AsyncLeasingStore, Leases
from tests.servers.lifeline import wait_until


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.release()


def flights(face):
    return face.cache._reads.flights._flights


def waiting(face):
    """How many callers wait, for each load."""
    if face.is_async:
        return [load.waiting for load in {flight.load for flight in flights(face).values()}]
    return [flight.waiting for flight in flights(face).values()]


# -- nothing is left of a load ---------------------------------------------------------------------


class Value:
    """Something whose end can be noticed."""


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _left_by(call, argument, seen):
    """Let `call` fail, and return whether the frames of its loaders live on."""
    seen.clear()
    with contextlib.suppress(OSError):  # not pytest.raises, which keeps the frames
        call(argument)
    wait_until(lambda: all(value() is None for value in seen), "the frames are gone", timeout=1.0)
    return len(seen)


@pytest.mark.usefixtures("no_collector")
def test_a_load_that_failed_leaves_nothing_for_the_garbage_collector():
    cache, seen = Cache(), []

    def fail(x):
        value = Value()
        seen.append(weakref.ref(value))
        raise OSError("gone")

    find = cache.cached(ttl=10)(fail)
    in_thread = cache.cached(ttl=10, load_timeout=DEADLINE, version=2)(fail)
    many = cache.cached_many(ttl=10, version=3)(fail)
    outer = cache.cached(ttl=10, version=4)(lambda x: find(x))  # noqa: PLW0108  # a loader within a loader
    for call, argument in ((find, 7), (find.refresh, 7), (in_thread, 7), (many, [1, 2]), (outer, 7)):
        assert _left_by(call, argument, seen) == 1


@pytest.mark.anyio
@pytest.mark.usefixtures("no_collector")
async def test_a_task_that_failed_leaves_nothing_for_the_garbage_collector():
    cache, seen = AsyncCache(), []

    async def fail(x):
        value = Value()
        seen.append(weakref.ref(value))
        raise OSError("gone")

    async def nested(x):
        return await find(x)

    find = cache.cached(ttl=10)(fail)
    many = cache.cached_many(ttl=10, version=3)(fail)
    outer = cache.cached(ttl=10, version=4)(nested)

    for call, argument in ((find, 7), (find.refresh, 7), (many, [1, 2]), (outer, 7)):
        seen.clear()
        with contextlib.suppress(OSError):
            await call(argument)
        for _ in range(5):
            await asyncio.sleep(0)
        assert [value() for value in seen] == [None]


@pytest.mark.usefixtures("no_collector")
def test_what_was_loaded_and_not_kept_is_gone_with_the_last_who_has_it(kind):
    face = kind()
    try:
        find = face.cached(lambda x: Value(), ttl=10)
        first, last = (weakref.ref(face(find.refresh, 7)) for _ in range(2))
        wait_until(lambda: first() is None, "the flight has let go")
        assert last() is not None
        face(find.invalidate, 7)
        wait_until(lambda: last() is None, "the store has let go")
    finally:
        face.close()


def test_nothing_is_left_of_loads_of_every_kind(either):
    face = either()
    runs = []

    def load(x):
        runs.append(x)
        if x % 3 == 1:
            raise OSError("gone")
        return (yield lambda: find(x + 3)) if x < 20 else x

    find = face.cached(load, ttl=10)
    many = face.cached_many(lambda ids: {id_: id_ for id_ in ids if id_ % 2}, ttl=10)
    for x in range(10):
        for call, argument in ((find, x), (find.refresh, x), (many, [x, x + 1])):
            with contextlib.suppress(OSError):
                face(call, argument)
    assert len(runs) > 20
    assert not flights(face)
    assert not face.cache._reads.elections._held
    assert not face.cache._reads.background._running


def test_the_traceback_of_each_who_waited_is_his_own(gate):
    face, source = Sync(), Source(gate=gate)
    source.error = OSError("gone")
    find = face.cached(source, ttl=10)
    lengths = []

    def call():
        try:
            find(7)
        except OSError as error:
            lengths.append(len(traceback.extract_tb(error.__traceback__)))

    callers = [face.start(call) for _ in range(8)]
    wait_until(lambda: waiting(face) == [8], "all wait")
    gate.release()
    for caller in callers:
        caller.result(DEADLINE)
    assert len(lengths) == 8
    assert max(lengths) < 3 * min(lengths), lengths


def test_an_error_shows_where_the_loader_raised_it(either):
    face, source = either(), Source()
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone") as caught:
        face(face.cached(source, ttl=10), 7)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "raise error"


# -- who joins whom --------------------------------------------------------------------------------


def test_an_error_reaches_all_who_wait_and_the_next_call_loads_again(either, gate):
    face, source = either(), Source(gate=gate)
    source.error = OSError("gone")
    find = face.cached(source, ttl=10)
    callers = [face.start(find, 7) for _ in range(4)]
    wait_until(lambda: waiting(face) == [4], "all wait")
    gate.release()
    for caller in callers:
        with pytest.raises(OSError, match="gone"):
            caller.result(DEADLINE)
    source.error = None
    assert face(find, 7) == "7 v2"
    assert face.stats() == (0, 5, 0, 2, 1, 0, 0)


@pytest.mark.parametrize("lock", ["process", None])
def test_without_a_lock_everybody_loads(either, gate, lock):
    face, source = either(), Source(gate=gate)
    find = face.cached(source, ttl=10, lock=lock)
    callers = [face.start(find, 7) for _ in range(3)]
    gate.wait_for_callers(1 if lock else 3)
    gate.release()
    values = {caller.result(DEADLINE) for caller in callers}
    assert len(values) == (1 if lock else 3)
    assert source.runs == (1 if lock else 3)


@pytest.mark.parametrize("end", ["invalidate_tags", "delete", "clear", "key", "elsewhere"])
def test_a_call_after_an_invalidation_loads_for_itself(either, gate, end):
    store = MemoryCacheStore()
    face, source = either(store), Source(gate=gate)
    find = face.cached(source, ttl=10, tags=["t"])
    before = face.start(find, 7)
    gate.wait_for_callers(1)
    if end == "elsewhere":
        store.invalidate(["cache:t"])
    elif end == "key":
        face(find.invalidate, 7)
    else:
        face(getattr(face.cache, end), *{"invalidate_tags": ["t"], "delete": [find.key(7)], "clear": []}[end])
    after = face.start(find, 7)
    gate.wait_for_callers(2)
    gate.release()
    assert (before.result(DEADLINE), after.result(DEADLINE)) == ("7 v1", "7 v2")
    assert face(find, 7) == "7 v2"


def test_a_call_after_a_refresh_began_joins_the_refresh(either, gate):
    face, source = either(), Source(gate=gate)
    find = face.cached(source, ttl=10)
    before = face.start(find, 7)
    gate.wait_for_callers(1)
    refresh = face.start(find.refresh, 7)
    gate.wait_for_callers(2)
    after = face.start(find, 7)
    wait_until(lambda: sorted(waiting(face)) == [1, 2], "it joins the younger one")
    gate.release()
    assert [one.result(DEADLINE) for one in (before, refresh, after)] == ["7 v1", "7 v2", "7 v2"]
    assert face(find, 7) == "7 v2"


def test_a_load_of_many_that_finds_nothing_is_no_answer_to_who_asks_for_one(either, gate):
    face = either()

    def load(ids):
        yield gate
        return {}

    many = face.cached_many(load, ttl=10)
    batch = face.start(many, [9])
    gate.wait_for_callers(1)
    single = face.start(face.cache.get_or_set, many.key(9), face.plain(lambda: "made"), ttl=10)
    wait_until(lambda: waiting(face) == [2], "it waits for the batch")
    gate.release()
    assert (batch.result(DEADLINE), single.result(DEADLINE)) == ({}, "made")


# -- nobody waits for himself ----------------------------------------------------------------------


def test_circles():
    a, b, c = Flight(), Flight(), Flight()
    assert is_circle(a, (a,))
    assert not is_circle(a, (b,))
    assert not is_circle(a, ())
    wait_begins((a,), [b])
    wait_begins((b,), [c])
    assert is_circle(a, (c,))
    assert is_circle(b, (a, c))
    assert not is_circle(c, (a,))
    wait_begins((c,), [a])
    assert not is_circle(a, (Flight(),)), "a circle of others ends the search"
    wait_ends((b,), [c])
    assert not is_circle(a, (c,))
    wait_begins((), [a])
    wait_ends((), [a])


def test_of_two_who_wait_for_a_flight_one_may_leave():
    a, b = Flight(), Flight()
    wait_begins((a,), [b])
    wait_begins((a,), [b])
    wait_ends((a,), [b])
    assert is_circle(a, (b,))
    wait_ends((a,), [b])
    assert not is_circle(a, (b,))
    assert not a.waits_for
    wait_ends((a,), [b])
    assert not a.waits_for


@pytest.mark.anyio
async def test_a_loader_whose_other_task_gave_up_is_still_seen_to_wait():
    """A waits for B twice, and gives up once; then B asks for A. Both would wait for ever."""
    cache = AsyncCache()
    b_runs, gave_up = asyncio.Event(), asyncio.Event()

    async def load_a(x):
        if x == "inner":
            return "inner"
        patient = asyncio.create_task(b(x))
        hasty = asyncio.create_task(b(x))
        await b_runs.wait()
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        gave_up.set()
        return await patient

    async def load_b(x):
        b_runs.set()
        await gave_up.wait()
        if alone:
            return "alone"
        alone.append(x)
        return await a(x)

    alone = []
    b = cache.cached(ttl=10)(load_b)
    runs = []

    async def once(x):
        runs.append(x)
        return await load_a(x) if len(runs) == 1 else "alone"

    a = cache.cached(ttl=10)(once)
    assert await asyncio.wait_for(a(7), DEADLINE) == "alone"


def test_recursion_through_two_caches(either):
    one, other = either(), either()
    if one.is_async:
        other._loop, mine = one._loop, other._loop
    runs = []

    def load(x):
        runs.append(x)
        return (yield lambda: back(x)) if len(runs) < 4 else "end"

    def load_back(x):
        return (yield lambda: find(x))

    find = one.cached(load, ttl=10)
    back = other.cached(load_back, ttl=10)
    try:
        assert one(find, 7) == "end"
    finally:
        if one.is_async:
            other._loop = mine
    assert not flights(one)
    assert not flights(other)


def test_batches_and_single_calls_that_wait_for_each_other(either):
    """Each of many loaders asks for ids of the others, by batch and one by one."""
    face, runs = either(), []

    def load(ids):
        runs.append(tuple(ids))
        found = {}
        for id_ in ids:
            if len(runs) < 40:
                yield lambda id_=id_: many([(id_ + 1) % 6, (id_ + 2) % 6])
                yield lambda id_=id_: find((id_ + 3) % 6)
            found[id_] = id_
        return found

    def load_one(x):
        runs.append(x)
        return (yield lambda: many([x, (x + 1) % 6]))[x] if len(runs) < 40 else x

    many = face.cached_many(load, ttl=10)
    find = face.cached(load_one, ttl=10)
    callers = [face.start(many, [x, (x + 1) % 6]) for x in range(6)] + [face.start(find, x) for x in range(6)]
    answers = [caller.result(DEADLINE) for caller in callers]
    assert answers[:6] == [{x: x, (x + 1) % 6: (x + 1) % 6} for x in range(6)]
    assert answers[6:] == list(range(6))
    assert not flights(face)


def test_threads_in_a_storm_of_nested_calls():
    """With the interpreter giving way as often as it can; a deadlock would be the deadline."""
    face = Sync()

    def load(x):
        return (yield lambda: find((x * 7 + 1) % 5)) + 1 if x % 2 else 0

    find = face.cached(load, ttl=10)

    def call(seed):
        for i in range(150):
            face.cache.invalidate_tags()
            find((seed + i) % 5)
            find.invalidate((seed + i) % 5)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for caller in [face.start(call, seed) for seed in range(6)]:
            caller.result(DEADLINE)
    finally:
        sys.setswitchinterval(interval)
    assert not flights(face)
    stats = face.stats()
    assert stats.hits + stats.misses >= 6 * 150


# -- finalisers, which the collector lets into the midst of a call ---------------------------------


@pytest.mark.parametrize("where", ["boarding", "boarded", "waiting"])
def test_a_finalisers_call_in_the_midst_of_another_loads_by_itself(monkeypatch, gate, where):  # noqa: C901  # three places, one story
    cache, runs = Cache(), []

    @cache.cached(ttl=10)
    def find(x):
        runs.append(x)
        if runs == [1]:
            gate.block()
        return x

    led = threading.Thread(target=find, args=(1,), daemon=True)
    led.start()
    wait_until(lambda: runs == [1], "a load is under way")
    found, finalised = [], []

    def finaliser():
        if not finalised:  # its own call makes flights, too
            finalised.append("begun")
            finalised[:] = [find(1), *([find(2)] if where == "boarded" else [])]

    class Landed(threading.Event):
        def __init__(self):
            super().__init__()
            if where == "boarding":
                finaliser()

        def wait(self, timeout=None):
            with self._cond:  # as its own method does
                if where == "waiting":
                    finaliser()
            return super().wait(timeout)

    cls = type(cache._reads.flights)
    lead = cls._lead

    def leading(self, *args, **options):
        if where == "boarded":
            finaliser()
        lead(self, *args, **options)

    monkeypatch.setattr(cls, "_lead", leading)
    flying = next(iter(cache._reads.flights._flights.values()))
    if where == "waiting":
        flying.landed = Landed()
    monkeypatch.setattr(_flight, "threading", SimpleNamespace(Event=Landed))  # for flights alone
    called = threading.Thread(target=lambda: found.append(find(1 if where == "waiting" else 2)), daemon=True)
    called.start()
    if where == "boarded":  # there nobody is kept out, so it may wait for another's load
        gate.release()
    wait_until(lambda: finalised and finalised[0] == 1, "the finaliser had its value", timeout=5.0)
    gate.release()
    for thread in (called, led):
        thread.join(5.0)
    assert found == [1 if where == "waiting" else 2]
    assert not cache._reads.flights._flights


# -- interrupts, cancellations, closed loops, forks ------------------------------------------------


def test_an_interrupt_before_the_load_began_leaves_nobody_waiting(monkeypatch):
    cache = Cache()
    find = cache.cached(ttl=10)(lambda x: x)
    cls = type(cache._reads.flights)
    board = cls._board

    def interrupted(self, *args):
        board(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cls, "_board", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find(7)
    assert not cache._reads.flights._flights
    assert find(7) == 7


@pytest.mark.anyio
async def test_a_call_may_be_cancelled_at_every_await():
    """Cancelled after n steps, for every n until it ends: the next call works, and nothing is left."""

    for n in range(40):
        leases = Leases(asyncio.get_running_loop().time)
        cache = AsyncCache(AsyncLeasingStore(MemoryCacheStore(), leases))

        async def load(x):
            await asyncio.sleep(0)
            return x

        find = cache.cached(ttl=10, lock="cluster", stale_if_error=5)(load)
        many = cache.cached_many(ttl=10)(lambda_ids)
        tasks = [
            asyncio.create_task(find(7)),
            asyncio.create_task(many([1, 2])),
            asyncio.create_task(find.refresh(8)),
        ]
        for _ in range(n):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(12):
            await asyncio.sleep(0)
        assert not cache._reads.flights._flights, n
        assert not cache._reads.elections._held, n
        assert not leases.held, f"after {n} steps a lease was left"
        assert await find(7) == 7
        assert await many([1, 2]) == {1: 1, 2: 2}
        if not any(isinstance(outcome, BaseException) for outcome in done):
            break
    else:
        pytest.fail("it never came to an end")


async def lambda_ids(ids):
    await asyncio.sleep(0)
    return {id_: id_ for id_ in ids}


def test_a_loop_that_is_left_with_loads_and_reloads_under_way_does_not_bind_the_next():
    clock = ManualClock()
    cache, runs, hangs = AsyncCache(clock=clock), [], []

    async def load(x):
        runs.append(x)
        if hangs:
            await asyncio.Event().wait()
        return len(runs)

    find = cache.cached(ttl=10, stale_while_revalidate=60)(load)
    other = cache.cached(ttl=10, version=2)(load)
    assert asyncio.run(find(7)) == 1
    clock.advance(11)
    hangs.append(True)

    async def leave():
        await find(7)
        task = asyncio.ensure_future(other(7))
        while len(runs) < 3:  # noqa: ASYNC110  # for whatever runs behind our back
            await asyncio.sleep(0)
        return task

    async def next_one():
        values = await other(7), await find(7)
        while len(runs) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return values

    left = asyncio.new_event_loop()
    try:
        task = left.run_until_complete(leave())
        hangs.clear()
        assert asyncio.run(next_one()) == (4, 1), "a load and a reload of its own"
        assert asyncio.run(find(7)) == 5
    finally:
        pending = asyncio.all_tasks(left)
        for task in pending:
            task.cancel()
        left.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        left.close()
    assert not cache._reads.flights._flights
    assert not cache._reads.background._running


def test_loads_of_loops_that_were_closed_are_forgotten_and_end_without_a_word(monkeypatch):
    unraisable, begun, cache = [], [], AsyncCache()
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    async def load(x):
        begun.append(x)
        await asyncio.Event().wait()

    find = cache.cached(ttl=10)(load)
    for x in range(5):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # asyncio's own word: a task is pending
        task = loop.create_task(find(x))
        while len(begun) <= x:
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        del task, loop
        gc.collect()
        assert len(cache._reads.flights._flights) <= 1, "the next loop forgets those before"
    assert not unraisable


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_wait_for_the_loads_of_its_parent(gate):
    face, source = Sync(), Source(gate=gate)
    find = face.cached(source, ttl=10, stale_while_revalidate=60)
    first = face.start(find, 7)
    gate.wait_for_callers(1)
    child = os.fork()
    if not child:
        try:
            source.gate = None
            threading.Timer(DEADLINE, os._exit, [3]).start()
            os._exit(0 if find(7) == "7 v2" and not flights(face) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
