"""Work behind the callers' backs: bounded, daemonic, gone when it is done, and none where nobody asked."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading

import pytest

from scalekit.cache._async_background import _MOST_TASKS, AsyncBackground
from scalekit.cache._background import _MOST_THREADS, Background
from scalekit.cache._flight import Flight, loading
from scalekit.errors import ConfigurationError
from scalekit.testing import Gate
from tests.cache.either import DEADLINE, Async, Source, Sync
from tests.servers.lifeline import wait_until


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.release()


def idle(background):
    wait_until(lambda: not background._running, "all has ended")


def test_no_thread_at_import_nor_in_a_constructor_nor_for_a_plain_call():
    script = """if True:
        import threading
        from scalekit.cache import AsyncCache, Cache, CachePolicy
        cache, async_cache = Cache(on_error_invalidate="queue"), AsyncCache()
        policy = CachePolicy(ttl=10, stale_while_revalidate=10, stale_if_error=10, early_refresh=1.0)
        find = cache.cached(policy, tags=["t"])(lambda x: x)
        many = cache.cached_many(ttl=10, version=2)(lambda ids: {id: id for id in ids})
        find(1), find(1), find.refresh(1), many([1, 2])
        cache.invalidate_tags("t"), cache.get_or_set("k", list, ttl=1)
        assert threading.active_count() == 1, threading.enumerate()
    """
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_an_interpreter_does_not_wait_for_a_reload_when_it_exits():
    script = """if True:
        import threading
        from scalekit.cache import Cache
        now = [0.0]
        cache = Cache(clock=lambda: now[0])
        entered = threading.Event()
        def load(x):
            if now[0]:
                entered.set()
                threading.Event().wait()
            return x
        find = cache.cached(ttl=1, stale_while_revalidate=60)(load)
        find(1)
        now[0] = 2.0
        assert find(1) == 1
        assert entered.wait(30)
    """
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=DEADLINE)


def test_work_of_one_name_runs_once_at_a_time(gate):
    background, runs = Background(), []

    def work():
        runs.append(threading.current_thread())
        gate.block()

    for _ in range(5):
        background.start("k", work)
    gate.wait_for_callers(1)
    background.start("k", work)
    gate.release()
    idle(background)
    assert len(runs) == 1
    assert runs[0].daemon
    assert runs[0].name == "scalekit-cache"
    background.start("k", work)
    wait_until(lambda: len(runs) == 2, "it may run again")
    idle(background)


def test_threads_are_bounded_but_not_for_what_must_be_kept_up(gate):
    background, kept = Background(), threading.Event()
    for number in range(50):
        background.start(str(number), gate.block)
    assert len(background._running) == _MOST_THREADS
    background.keep("", kept.set, needed=lambda: False)
    assert kept.wait(DEADLINE)
    gate.release()
    idle(background)


def test_errors_and_exits_end_the_work_and_not_the_next(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # pytest's own knows no SystemExit
    background, runs, threads = Background(), [], []

    def work():
        runs.append(1)
        threads.append(threading.current_thread())
        raise errors.pop()

    errors = [SystemExit(1), SystemExit(1), OSError("gone")]
    for number in range(1, 3):
        background.start("k", work)
        idle(background)
        assert len(runs) == number
    background.keep("k", work, needed=lambda: True)
    idle(background)
    assert len(runs) == 3
    for thread in threads:
        thread.join(DEADLINE)


def test_what_is_kept_up_goes_on_while_it_is_needed():
    background, left = Background(), [3]

    def work():
        left[0] -= 1
        raise OSError("gone")

    background.keep("k", work, needed=lambda: left[0] > 0)
    idle(background)
    assert left == [0]


def test_what_is_needed_while_the_last_run_ends_is_not_missed():
    """The question whether it is needed, and the end, are one step for those who ask for it."""
    background, needed, runs = Background(), [], []

    def work():
        runs.append(len(needed))
        needed.clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(300):
            needed.append(number)
            background.keep("k", work, needed=lambda: bool(needed))
            if number % 3 == 0:
                wait_until(lambda: not needed, "it is taken care of")
    finally:
        sys.setswitchinterval(interval)
    wait_until(lambda: not needed, "it is taken care of")
    idle(background)


def test_a_finaliser_may_start_work_while_work_is_started(monkeypatch):
    background, runs = Background(), []
    start = threading.Thread.start

    def finalise(self):
        if self.name == "scalekit-cache":
            monkeypatch.setattr(threading.Thread, "start", start)
            background.start("k", lambda: runs.append("k twice"))
            background.start("l", lambda: runs.append("l"))
            background.keep("m", lambda: runs.append("m"), needed=lambda: False)
        start(self)

    def begin():
        background.start("k", lambda: runs.append("k"))

    monkeypatch.setattr(threading.Thread, "start", finalise)
    starter = threading.Thread(target=begin, daemon=True)
    start(starter)
    starter.join(DEADLINE)
    assert not starter.is_alive(), "it waits for itself"
    idle(background)
    assert sorted(runs) == ["k", "l", "m"]


def test_a_finaliser_may_start_work_under_the_lock():
    background, ran = Background(), threading.Event()

    def begin():
        with background._lock:
            background.start("k", ran.set)

    starter = threading.Thread(target=begin, daemon=True)
    starter.start()
    starter.join(DEADLINE)
    assert not starter.is_alive(), "it waits for itself"
    assert ran.wait(DEADLINE)
    idle(background)


def test_an_interrupt_while_work_is_started_does_not_keep_its_name(monkeypatch):
    background, runs = Background(), []

    def start(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            background.start("k", lambda: runs.append(1))
    background.start("k", lambda: runs.append(1))
    idle(background)
    assert runs == [1]


def test_without_threads_nothing_runs_and_nothing_is_stuck(monkeypatch):
    background, runs = Background(), []

    def start(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        background.start("k", lambda: runs.append(1))
        background.keep("l", lambda: runs.append(1), needed=lambda: False)
        with background.repeating(lambda: True, every=0.001):
            pass
    assert not background._running
    background.start("k", lambda: runs.append(1))
    idle(background)
    assert runs == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_starts_with_nothing_running(gate):
    background, ran = Background(), threading.Event()
    background.start("k", gate.block)
    gate.wait_for_callers(1)
    child = os.fork()
    if not child:
        try:
            background.start("k", ran.set)
            os._exit(0 if ran.wait(DEADLINE) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_sees_the_callers_context_but_belongs_to_no_load():
    background, seen = Background(), []
    who = contextvars.ContextVar("who", default="nobody")
    who_token, load_token = who.set("me"), loading.set((Flight(),))
    try:
        background.start("k", lambda: seen.append((who.get(), loading.get())))
        idle(background)
        assert len(loading.get()) == 1
    finally:
        who.reset(who_token)
        loading.reset(load_token)
    assert seen == [("me", ())]


def test_what_repeats_ends_with_its_block_and_when_it_says_so():
    background, runs = Background(), []

    def work():
        runs.append(1)
        return len(runs) < 3

    with background.repeating(work, every=0.001):
        wait_until(lambda: len(runs) == 3, "it repeats")
    runs.clear()
    ended = threading.active_count()
    with background.repeating(lambda: runs.append(1) or True, every=0.001):
        wait_until(lambda: runs, "it repeats")
    with pytest.raises(ZeroDivisionError), background.repeating(lambda: True, every=0.001):
        raise ZeroDivisionError
    count = len(runs)
    assert threading.active_count() == ended
    assert len(runs) == count
    with background.repeating(lambda: runs.append(1) or True, every=DEADLINE):
        pass
    assert len(runs) == count, "not before its time"


# -- tasks -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_tasks_are_bounded_and_one_of_a_name():
    background, gate, runs = AsyncBackground(), asyncio.Event(), []

    async def work():
        runs.append(1)
        await gate.wait()

    for number in range(2 * _MOST_TASKS):
        background.start(str(number), work)
        background.start(str(number), work)
    await asyncio.sleep(0)
    assert len(runs) == _MOST_TASKS
    background.keep("", work, needed=lambda: False)
    background.keep("", work, needed=lambda: False)
    await asyncio.sleep(0)
    assert len(runs) == _MOST_TASKS + 1
    gate.set()
    await asyncio.gather(*background._running.values())
    await asyncio.sleep(0)
    assert not background._running


@pytest.mark.anyio
async def test_a_task_that_is_kept_up_goes_on_while_it_is_needed():
    background, left = AsyncBackground(), [3]

    async def work():
        left[0] -= 1
        raise OSError("gone")

    background.keep("k", work, needed=lambda: left[0] > 0)
    await asyncio.gather(*background._running.values())
    assert left == [0]


@pytest.mark.anyio
async def test_a_task_sees_the_callers_context_but_belongs_to_no_load():
    background, seen = AsyncBackground(), []
    who = contextvars.ContextVar("who", default="nobody")
    who.set("me")
    loading.set((Flight(),))

    async def work():
        seen.append((who.get(), loading.get()))

    background.start("k", work)
    await asyncio.gather(*background._running.values())
    assert seen == [("me", ())]
    assert len(loading.get()) == 1


@pytest.mark.anyio
async def test_what_repeats_in_tasks_ends_with_its_block_and_when_it_says_so():
    background, runs, again = AsyncBackground(), [], asyncio.Event()

    async def work():
        runs.append(1)
        if len(runs) == 3:
            again.set()
        return len(runs) < 3

    async with background.repeating(work, every=0.001):
        await asyncio.wait_for(again.wait(), DEADLINE)
    tasks = len(asyncio.all_tasks())
    with pytest.raises(ZeroDivisionError):
        async with background.repeating(work, every=DEADLINE):
            raise ZeroDivisionError
    assert len(asyncio.all_tasks()) == tasks
    assert len(runs) == 3


def test_tasks_of_loops_that_are_gone_do_not_count():
    background, runs = AsyncBackground(), []

    async def hang():
        await asyncio.Event().wait()

    async def leave():
        for number in range(_MOST_TASKS):
            background.start(str(number), hang)
        await asyncio.sleep(0)

    async def work():
        runs.append(1)

    async def begin():
        background.start("0", work)
        background.start("another", work)
        await asyncio.sleep(0)

    left = asyncio.new_event_loop()
    left.run_until_complete(leave())
    tasks = asyncio.all_tasks(left)
    for task in tasks:
        task.cancel()
    left.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    background._running.update({str(number): task for number, task in enumerate(tasks)})
    left.close()
    asyncio.run(begin())
    assert runs == [1, 1]


def test_a_reload_sees_the_context_of_the_call_that_began_it():
    face, who, seen = Sync(), contextvars.ContextVar("who", default="nobody"), []

    def load(x):
        seen.append(who.get())
        return x

    find = face.cached(load, ttl=10, stale_while_revalidate=60)
    find(7)
    face.clock.advance(11)
    token = who.set("me")
    try:
        find(7)
    finally:
        who.reset(token)
    face.settle()
    assert seen == ["nobody", "me"]


def test_many_stale_keys_are_reloaded_as_reads_ask_for_it(either, gate):
    face, source = either(), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=1_000)
    for x in range(100):
        face(find, x)
    face.clock.advance(11)
    source.gate = gate
    for x in range(100):
        face(find, x)
    most = _MOST_TASKS if face.is_async else _MOST_THREADS
    gate.wait_for_callers(most)
    assert len(face.cache._reads.background._running) == most
    gate.release()
    face.settle()
    for _ in range(100 // most + 1):
        for x in range(100):
            face(find, x)
        face.settle()
    assert source.runs == 200


@pytest.fixture(params=[Sync, Async])
def face(request):
    made = request.param()
    yield made
    made.close()


def test_who_joins_waits_for_the_reload_of_what_was_stale(face, gate):
    source = Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=60)
    assert face(find, 7) == "7 v1"
    face(face.cache.join)
    face.clock.advance(11)
    source.gate = gate
    assert face(find, 7) == "7 v1"
    joined = face.start(face.cache.join)
    gate.wait_for_callers(1)
    with pytest.raises(TimeoutError, match=r"something still runs behind the callers' backs after 0\.01 s"):
        face(face.cache.join, timeout=0.01)
    assert not joined.done()
    gate.release()
    joined.result(DEADLINE)
    assert (face(find, 7), source.runs) == ("7 v2", 2)


@pytest.mark.parametrize("timeout", [0, -1, "soon", None])
def test_who_joins_has_some_time(face, timeout):
    with pytest.raises(ConfigurationError, match="expected timeout "):
        face(face.cache.join, timeout=timeout)


def test_tasks_of_an_event_loop_that_is_closed_run_no_more():
    background, loop = AsyncBackground(), asyncio.new_event_loop()

    async def start():
        background.start("k", asyncio.Event().wait)

    loop.run_until_complete(start())
    assert not asyncio.run(background.join(0.001))
    tasks = list(background._running.values())
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
    assert asyncio.run(background.join(0.001))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_the_child_of_a_fork_nothing_runs():
    script = """if True:
        import os, threading
        from scalekit.cache._background import Background
        background, entered = Background(), threading.Event()
        def work():
            entered.set()
            threading.Event().wait()
        background.start("k", work)
        entered.wait(30)
        child = os.fork()
        if not child:
            os._exit(0 if background.join(0.001) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not background.join(0.001)
    """
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, env=env, timeout=DEADLINE)
