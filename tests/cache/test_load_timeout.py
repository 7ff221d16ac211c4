"""How long a caller waits for a load, and what becomes of the load."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from scalekit.cache import Cache
from scalekit.errors import LoadTimeout
from scalekit.testing import Gate
from tests.cache.either import DEADLINE, Async, Source, Sync
from tests.servers.lifeline import wait_until

SHORT = 0.01


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.release()


def test_a_quick_load_is_not_bothered(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=10, load_timeout=DEADLINE)
    assert [face(find, 7), face(find, 7), face(find.refresh, 7)] == ["7 v1", "7 v1", "7 v2"]
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, 8)


def test_a_caller_that_has_waited_enough_gets_a_timeout(either, gate):
    face, source = either(), Source(gate=gate)
    find = face.cached(source, ttl=10, load_timeout=SHORT)
    for call in (find, find.refresh):
        with pytest.raises(LoadTimeout) as caught:
            face(call, 7)
        assert (caught.value.key, caught.value.timeout) == (f"cache:{find.key(7)}", SHORT)


def test_each_waits_as_long_as_its_own_policy_says(either, gate):
    face, source = either(), Source(gate=gate)
    hasty = face.cached(source, ttl=10, load_timeout=SHORT)
    key = hasty.key(7)
    load = face.plain(lambda: "unused")
    patient = face.start(face.cache.get_or_set, key, face.plain(lambda: source(7)), ttl=10)
    gate.wait_for_callers(1)
    with pytest.raises(LoadTimeout):
        face(hasty, 7)
    with pytest.raises(LoadTimeout):
        face(face.cache.get_or_set, key, load, ttl=10, load_timeout=SHORT)
    gate.release()
    assert patient.result(DEADLINE) == "7 v1"
    assert source.runs == 1


def test_a_thread_that_goes_on_stores_its_value_unless_it_is_outdated(gate):
    face, source = Sync(), Source(gate=gate)
    find = face.cached(source, ttl=10, load_timeout=SHORT, tags=["t"])
    with pytest.raises(LoadTimeout):
        find(7)
    gate.wait_for_callers(1)
    face.cache.invalidate_tags("t")
    with pytest.raises(LoadTimeout):
        find(7)
    gate.wait_for_callers(2)
    gate.release()
    wait_until(lambda: face.cache.get(find.key(7)), "the second load's value is stored")
    assert face.cache.get(find.key(7)) == "7 v2", "and never the first's"
    assert not face.cache._reads.flights._flights


def test_a_task_that_somebody_still_waits_for_goes_on(gate):
    face, source = Async(), Source(gate=gate)
    find = face.cached(source, ttl=10, load_timeout=SHORT)
    patient = face.start(face.cache.get_or_set, find.key(7), face.plain(lambda: source(7)), ttl=10)
    gate.wait_for_callers(1)
    with pytest.raises(LoadTimeout):
        face(find, 7)
    assert gate.waiting == 1
    gate.release()
    assert patient.result(DEADLINE) == "7 v1"
    face.close()


def test_a_stale_value_answers_for_a_load_that_takes_too_long(either, gate):
    face, source = either(), Source(gate=gate)
    find = face.cached(source, ttl=10, load_timeout=SHORT, stale_if_error=60)
    face(face.cache.set, find.key(7), "old", ttl=10, stale_if_error=60)
    face.clock.advance(11)
    assert face(find, 7) == "old"
    assert face(find, 7) == "old"
    assert face.stats() == (1, 1, 2, 1, 0, 0, 0), "the second is held off"


def test_items_have_a_timeout_too(either, gate):
    face = either()

    def load(ids):
        yield gate
        return dict.fromkeys(ids, "late")

    find = face.cached_many(load, ttl=10, load_timeout=SHORT)
    with pytest.raises(LoadTimeout):
        face(find, [1, 2])


def test_a_loader_with_a_timeout_may_come_back_to_its_own_key(either):
    face, runs = either(), []

    def load(x):
        runs.append(x)
        return (yield lambda: find(x)) if len(runs) == 1 else "inner"

    find = face.cached(load, ttl=10, load_timeout=DEADLINE)
    assert face(find, 7) == "inner"


def test_a_load_in_a_thread_of_its_own_sees_the_callers_context():
    who = contextvars.ContextVar("who", default="nobody")
    cache = Cache()
    find = cache.cached(ttl=10, load_timeout=DEADLINE)(
        lambda x: (who.get(), threading.current_thread().daemon)
    )
    token = who.set("me")
    try:
        assert find(7) == ("me", True)
    finally:
        who.reset(token)


@pytest.mark.parametrize("load_timeout", [None, DEADLINE])
@pytest.mark.parametrize("interrupt", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_interrupt_is_the_leaders_own_and_the_load_is_not_repeated(load_timeout, interrupt):
    cache, runs = Cache(), []

    @cache.cached(ttl=10, load_timeout=load_timeout)
    def find(x):
        runs.append(x)
        raise interrupt

    with pytest.raises(interrupt):
        find(7)
    assert runs == [7]
    assert not cache._reads.flights._flights


def test_who_waits_for_an_interrupted_load_takes_over_within_its_own_time(gate):
    face, runs = Sync(), []

    def load(x):
        runs.append(x)
        if len(runs) == 1:
            yield gate
            raise SystemExit
        return "second"

    find = face.cached(load, ttl=10, load_timeout=DEADLINE)
    leader = face.start(find, 7)
    gate.wait_for_callers(1)
    waiter = face.start(find, 7)
    wait_until(
        lambda: [flight.waiting for flight in face.cache._reads.flights._flights.values()] == [2], "it waits"
    )
    gate.release()
    with pytest.raises(SystemExit):
        leader.result(DEADLINE)
    assert waiter.result(DEADLINE) == "second"


def test_without_threads_a_load_with_a_timeout_fails_and_nobody_waits_for_ever(monkeypatch):
    cache = Cache()
    find = cache.cached(ttl=10, load_timeout=DEADLINE)(lambda x: x)

    def start(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            find(7)
    assert not cache._reads.flights._flights
    assert find(7) == 7


@pytest.mark.anyio
async def test_the_wait_is_cancelled_with_its_caller():
    from scalekit.cache import AsyncCache

    cache, cancelled = AsyncCache(), asyncio.Event()

    @cache.cached(ttl=10, load_timeout=DEADLINE)
    async def find(x):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(find(7), SHORT)
    await asyncio.wait_for(cancelled.wait(), DEADLINE)
    assert not cache._reads.flights._flights
