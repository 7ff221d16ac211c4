"""Loading ahead, several at a time, through both faces."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from scalekit.cache import AsyncCache, Cache, MemoryCacheStore
from scalekit.errors import BackendError, ConfigurationError, SerialisationError
from scalekit.testing import Gate
from tests.cache.either import DEADLINE, Async, Source, Sync
from tests.servers.lifeline import wait_until


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def face(request):
    made = request.param()
    yield made
    made.close()


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
    [(call, error)] = report.errors
    assert (call, type(error)) == ((3,), OSError)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (face(find, 2), face(find, 4)) == (2, 4)
    assert face(find.warm, []).loaded == 0


def test_the_first_errors_of_a_warm_up_are_reported(face):
    source = Source()
    find = face.cached(source, ttl=10, stale_if_error=60)
    face(find, 0)
    face.clock.advance(11)
    source.error = OSError("gone")
    report = face(find.warm, [{"x": x} for x in range(12)], concurrency=1)
    assert (report.failed, report.errors) == (12, tuple(({"x": x}, source.error) for x in range(10)))
    assert type(report)(1, 2, 3.0, 4).errors == ()


def test_a_value_that_cannot_be_written_is_an_error_of_the_warm_up(face):
    class Refuses(MemoryCacheStore):
        __slots__ = ()

        def write(self, slot, entry, snapshot, now, /):
            raise SerialisationError("no")

    face.cache = type(face.cache)(Refuses(), clock=face.clock)
    report = face(face.cached(Source(), ttl=10).warm, [(7,)])
    assert (report.loaded, report.failed) == (0, 1)
    assert [type(error) for _, error in report.errors] == [SerialisationError]


@pytest.mark.parametrize("operation", ["read", "write"])
def test_what_a_failing_store_has_not_got_is_an_error_of_the_warm_up(face, operation):
    """Told as loaded, it lets a deployment go on whose first users then wait for each value."""
    down = BackendError("memory", operation, "down")

    class Down(MemoryCacheStore):
        __slots__ = ()

        def read(self, slot, now, /):
            return failing("read") or super().read(slot, now)

        def write(self, slot, entry, snapshot, now, /):
            return failing("write") or super().write(slot, entry, snapshot, now)

    def failing(name):
        if name == fails:
            raise down

    fails = None
    face.cache = type(face.cache)(Down(), clock=face.clock)
    inner = face.cached(Source(), ttl=60, version="inner")

    def load(x):
        nonlocal fails
        if x == 3:
            fails = operation
        yield partial(inner, x)
        if x == 3:
            fails = None
        return x

    find = face.cached(load, ttl=10)
    assert face(find.warm, [(3,)]).loaded == 1, "what fails inside of a loader is not about its value"
    face.clock.advance(20)
    fails = operation
    report = face(find.warm, [(1,), (2,)], concurrency=1)
    assert (report.loaded, report.failed) == (0, 2)
    assert report.errors == (((1,), down), ((2,), down))
    fails = None
    assert face(find.warm, [(1,), (2,)]).loaded == 2


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
        ([], {"on_progress": AsyncCache().join}, "on_progress as a callable .*, which is not async"),
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


def test_what_another_loads_already_is_waited_for_and_counts_as_present(face):
    gate = Gate()
    source = Source(gate=gate)
    find = face.cached(source, ttl=60)
    other = face.start(find, 1)
    gate.wait_for_callers(1)
    warming = face.start(find.warm, [(1,), (2,)], concurrency=2)
    gate.wait_for_callers(2)
    gate.release()
    report = warming.result(DEADLINE)
    assert (report.loaded, report.failed, report.present) == (1, 0, 1)
    assert other.result(DEADLINE) == "1 v1"


def test_of_equal_calls_one_loads(face):
    source = Source()
    report = face(face.cached(source, ttl=60).warm, [(1,)] * 5 + [{"x": 1}], concurrency=3)
    assert (report.loaded, report.failed, report.present) == (1, 0, 5)
    assert source.runs == 1


def test_a_load_that_fails_is_counted_though_a_stale_value_would_answer_for_it(face):
    source = Source()
    find = face.cached(source, ttl=10, stale_if_error=60)
    face(find, 1)
    face.clock.advance(11)
    source.error = OSError("gone")
    report = face(find.warm, [(1,), (2,)], concurrency=1)
    assert (report.loaded, report.failed, report.present) == (0, 2, 0)


def test_a_value_that_is_stale_is_there_and_reloaded_behind_it(face):
    source = Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=60)
    face(find, 1)
    face.clock.advance(11)
    report = face(find.warm, [(1,)])
    face.settle()
    assert (report.present, source.runs) == (1, 2)


@pytest.mark.parametrize(
    ("senseless", "error", "complaint"),
    [
        ((1, 2, 3), TypeError, r"in the call \(1, 2, 3\) of warm\(\)"),
        ((object(),), ConfigurationError, "expected x as a value with a stable text"),
        (7, ConfigurationError, r"such as \(7,\) for f\(7\)"),
    ],
)
def test_a_call_that_makes_no_sense_ends_the_warming_before_anything_is_loaded(
    face, senseless, error, complaint
):
    find = face.cached(source := Source(), ttl=60)
    with pytest.raises(error, match=complaint):
        face(find.warm, [(1,), senseless], concurrency=1)
    assert source.runs == 0


@pytest.mark.anyio
async def test_the_loop_is_not_blocked_while_many_calls_are_looked_at():
    turns, seen = 0, []

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def calls():
        for x in range(2_000):
            seen.append(turns)
            yield (x,)

    counting = asyncio.ensure_future(count())

    @AsyncCache().cached(ttl=60)
    async def load(x):
        return x

    await load.warm(calls())
    counting.cancel()
    assert max(seen.count(turn) for turn in set(seen)) <= 256


def test_calls_may_come_from_a_generator_and_their_number_is_known(face):
    done = []
    find = face.cached(Source(), ttl=60)
    report = face(find.warm, ((x,) for x in range(3)), on_progress=lambda *step: done.append(step))
    assert report.loaded == 3
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_a_progress_callback_that_raises_leaves_nothing_running(face):
    """The loads that run are waited for (threads) or cancelled (tasks); those that did not begin never do."""
    source = Source()
    find = face.cached(source, ttl=60)

    def fail(done, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        face(find.warm, [(x,) for x in range(100)], concurrency=2, on_progress=fail)
    assert not face.cache._reads.flights._flights
    before = source.runs
    assert before < 100
    if face.is_async:
        face(asyncio.sleep, 0)
    assert source.runs == before


def test_a_warming_that_is_cancelled_cancels_its_loads():
    face, gate = Async(), Gate()
    source = Source(gate=gate)
    warming = face.start(face.cached(source, ttl=60).warm, [(x,) for x in range(10)], concurrency=3)
    gate.wait_for_callers(3)
    warming.cancel()
    wait_until(lambda: not gate.waiting, "all are cancelled")
    wait_until(lambda: not face.cache._reads.flights._flights, "and forgotten")
    assert source.runs == 3
    face.close()


def test_the_report_takes_the_time_of_the_caches_clock(face):
    source = Source(cost=lambda: face.clock.advance(2))
    report = face(face.cached(source, ttl=60).warm, [(1,), (2,)], concurrency=1)
    assert report == (2, 0, 4.0, 0, ())
    assert report._fields == ("loaded", "failed", "seconds", "present", "errors")


def test_a_loader_may_warm_what_it_loads_itself(face):
    """The calls of a warm-up belong to the load that began it, and do not wait for that."""
    runs = []

    def load(x):
        runs.append(x)
        if len(runs) == 1:
            find.warm([(x,), (8,)])
        return x

    async def async_load(x):
        runs.append(x)
        if len(runs) == 1:
            await find.warm([(x,), (8,)])
        return x

    find = face.cache.cached(ttl=10)(async_load if face.is_async else load)
    assert face.start(find, 7).result(DEADLINE) == 7
    assert sorted(runs) == [7, 7, 8]
