"""At most so many at once: threads, tasks, processes; who waits, who is cancelled, who crashes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time

import pytest

from scalekit.errors import BackendError, ConfigurationError, RateLimitExceeded
from scalekit.ratelimit import AsyncConcurrencyLimiter, ConcurrencyLimiter, MemoryConcurrencyStore
from scalekit.ratelimit.redis import AsyncRedisConcurrencyStore, RedisConcurrencyStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.lifeline import wait_until


@pytest.fixture
def link(redis_server):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        yield link


@pytest.fixture(params=["memory", "redis"])
def store(request, link):
    return MemoryConcurrencyStore() if request.param == "memory" else RedisConcurrencyStore(link)


@pytest.fixture(params=["memory", "redis"])
def with_async_store(request, redis_server):
    """Return what runs a coroutine function of a store."""

    async def run(test):
        if request.param == "memory":
            return await test(MemoryConcurrencyStore())
        async with AsyncRedisLink.from_url(redis_server.url, timeout="5s") as link:
            return await test(AsyncRedisConcurrencyStore(link))

    return lambda test: asyncio.run(run(test))


# -- threads ---------------------------------------------------------------------------------------


def test_no_more_than_so_many(store, key_prefix):
    limiter = ConcurrencyLimiter(2, store=store)
    with limiter.slot(key_prefix), limiter.slot(key_prefix) as second:
        with pytest.raises(RateLimitExceeded) as raised, limiter.slot(key_prefix, timeout=0):
            pass
        assert raised.value.decision.limit.limit == 2
        assert raised.value.decision.retry_after > 0
        with limiter.slot(key_prefix + "other", timeout=0):
            pass
        second.release()
        second.release()
        with limiter.slot(key_prefix, timeout=0):
            pass
    with limiter.slot(key_prefix, timeout=0), limiter.slot(key_prefix, timeout=0):
        pass


def test_threads_are_never_too_many_inside(store, key_prefix):
    limiter, inside, most, lock = ConcurrencyLimiter(3, store=store), 0, 0, threading.Lock()
    done = []

    def work():
        nonlocal inside, most
        for _ in range(5):
            with limiter.slot(key_prefix):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.001)
                with lock:
                    inside -= 1
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    assert 1 < most <= 3


def test_who_came_first_is_served_first(store, key_prefix):
    limiter, order = ConcurrencyLimiter(1, store=store), []

    def wait(number):
        with limiter.slot(key_prefix):
            order.append(number)

    with limiter.slot(key_prefix):
        threads = []
        for number in range(4):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            wait_until(lambda n=number: in_line(store, key_prefix) == n + 1, "it waits")
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]


def in_line(store, key):
    """Return how many wait."""
    if isinstance(store, MemoryConcurrencyStore):
        return len(store._keys[f"default:{key}"].line)
    told = store.link.execute(
        "EVAL", "return #cmsgpack.unpack(redis.call('GET', KEYS[1]))[2]", 1, f"sk:cl:default:{key}"
    )
    return told // 2


def test_who_gives_up_leaves_nothing_behind(store, key_prefix):
    limiter = ConcurrencyLimiter(1, store=store)
    with limiter.slot(key_prefix):
        for timeout in (0, "20ms"):
            with pytest.raises(RateLimitExceeded), limiter.slot(key_prefix, timeout=timeout):
                pass
        assert in_line(store, key_prefix) == 0
        assert not isinstance(store, MemoryConcurrencyStore) or not store._keys[f"default:{key_prefix}"].wakes
    with limiter.slot(key_prefix, timeout=0):
        pass


def test_who_is_interrupted_leaves_nothing_behind(store, key_prefix):
    limiter = ConcurrencyLimiter(1, store=store)
    # A process that was started in the background may have been told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with limiter.slot(key_prefix):
            main = threading.main_thread().ident
            timer = threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt), limiter.slot(key_prefix, timeout="30s"):
                pass
            timer.join()
            assert in_line(store, key_prefix) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_fails_inside_gives_the_place_back(store, key_prefix):
    limiter = ConcurrencyLimiter(1, store=store)
    with pytest.raises(ZeroDivisionError), limiter.slot(key_prefix):
        raise ZeroDivisionError
    with limiter.slot(key_prefix, timeout=0):
        pass


def test_a_key_that_is_not_in_use_takes_no_memory():
    store = MemoryConcurrencyStore()
    limiter = ConcurrencyLimiter(1, store=store)
    for number in range(100):
        with (
            limiter.slot(str(number)),
            pytest.raises(RateLimitExceeded),
            limiter.slot(str(number), timeout=0),
        ):
            pass
    assert len(store) == 0


def test_a_slot_is_for_one_at_a_time():
    slot = ConcurrencyLimiter(2).slot("k")
    with slot, pytest.raises(ConfigurationError, match="expected slot"), slot:
        pass
    with slot:
        pass


def test_it_reports(store, key_prefix):
    events = []
    limiter = ConcurrencyLimiter(1, store=store, on_event=events.append)
    with limiter.slot(key_prefix), pytest.raises(RateLimitExceeded), limiter.slot(key_prefix, timeout=0):
        pass
    assert [(event.name, event.outcome, event.key) for event in events] == [
        ("slot", "allowed", key_prefix),
        ("slot", "denied", key_prefix),
    ]


# -- tasks -----------------------------------------------------------------------------------------


def test_tasks_are_never_too_many_inside(with_async_store, key_prefix):
    async def test(store):
        limiter, inside, most, order = AsyncConcurrencyLimiter(3, store=store), 0, 0, []

        async def work(number):
            nonlocal inside, most
            async with limiter.slot(key_prefix):
                order.append(number)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(work(number) for number in range(20)))
        assert most == 3
        assert len(order) == 20
        if isinstance(store, MemoryConcurrencyStore):
            assert order == sorted(order)

    with_async_store(test)


def test_a_cancelled_task_leaves_nothing_behind(with_async_store, key_prefix):
    async def test(store):
        limiter = AsyncConcurrencyLimiter(1, store=store)
        async with limiter.slot(key_prefix):
            for delay in (0, 0.001, 0.02):
                waiting = asyncio.create_task(limiter.slot(key_prefix).__aenter__())
                await asyncio.sleep(delay)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
        async with limiter.slot(key_prefix, timeout=0):
            pass
        with pytest.raises(RateLimitExceeded):
            async with limiter.slot(key_prefix), limiter.slot(key_prefix, timeout="10ms"):
                pass

    with_async_store(test)


def test_threads_and_tasks_of_two_loops_share_the_places():
    store = MemoryConcurrencyStore()
    limiter = AsyncConcurrencyLimiter(1, store=store)
    entered = []

    async def work():
        async with limiter.slot("k"):
            entered.append(1)

    with ConcurrencyLimiter(1, store=store).slot("k"):
        threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: in_line(store, "k") == 2, "both wait")
        assert not entered
    for thread in threads:
        thread.join()
    assert len(entered) == 2


def test_a_task_that_waits_lets_the_others_run(with_async_store, key_prefix):
    async def test(store):
        limiter = AsyncConcurrencyLimiter(1, store=store)
        async with limiter.slot(key_prefix):
            waiting = asyncio.create_task(limiter.slot(key_prefix, timeout="200ms").__aenter__())
            turns = 0
            while not waiting.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert turns > 5  # a wait that blocks leaves one or two
            with pytest.raises(RateLimitExceeded):
                await waiting

    with_async_store(test)


# -- leases ----------------------------------------------------------------------------------------


def test_a_living_holder_keeps_its_place_beyond_its_lease(link, key_prefix):
    limiter = ConcurrencyLimiter(1, store=RedisConcurrencyStore(link), lease="300ms")
    with limiter.slot(key_prefix) as slot:
        with pytest.raises(RateLimitExceeded), limiter.slot(key_prefix, timeout="1s"):
            pass
        assert not slot.lost
    wait_until(lambda: not limiter._renewals._running, "its thread ends")


def test_a_living_task_keeps_its_place_beyond_its_lease(redis_server, key_prefix):
    async def test():
        async with AsyncRedisLink.from_url(redis_server.url, timeout="5s") as link:
            limiter = AsyncConcurrencyLimiter(1, store=AsyncRedisConcurrencyStore(link), lease="300ms")
            async with limiter.slot(key_prefix) as slot:
                with pytest.raises(RateLimitExceeded):
                    async with limiter.slot(key_prefix, timeout="1s"):
                        pass
                assert not slot.lost
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(test())


def test_who_lost_its_place_learns_it_and_frees_nobody_elses(link, key_prefix):
    events = []
    limiter = ConcurrencyLimiter(1, store=RedisConcurrencyStore(link), lease="300ms", on_event=events.append)
    with limiter.slot(key_prefix) as slot:
        link.execute("DEL", f"sk:cl:default:{key_prefix}")
        wait_until(lambda: slot.lost, "the next renewal")
        with limiter.slot(key_prefix, timeout=0):
            slot.release()
            with pytest.raises(RateLimitExceeded), limiter.slot(key_prefix, timeout=0):
                pass
    assert ("slot", "lost") in [(event.name, event.outcome) for event in events]


def test_a_server_that_is_away_is_an_error_and_loses_the_place(own_redis):
    with RedisLink.from_url(own_redis.url, timeout="100ms", breaker_reset="50ms") as link:
        limiter = ConcurrencyLimiter(1, store=RedisConcurrencyStore(link), lease="600ms")
        with limiter.slot("k") as slot:
            own_redis.kill()
            with pytest.raises(BackendError), limiter.slot("k"):
                pass
            wait_until(lambda: slot.lost, "a lease without an answer")
            own_redis.restart()

        def enters():
            try:
                with limiter.slot("k", timeout=0):
                    return True
            except BackendError:
                return False

        wait_until(enters, "the server is back")


PROCESS = """
import sys
import time

from scalekit.ratelimit import ConcurrencyLimiter
from scalekit.ratelimit.redis import RedisConcurrencyStore
from scalekit.redis import RedisLink

url, key, rounds = sys.argv[1:]
with RedisLink.from_url(url, timeout="5s") as link:
    limiter = ConcurrencyLimiter(3, store=RedisConcurrencyStore(link), lease="2s")
    print("ready", flush=True)
    sys.stdin.readline()
    most = 0
    for _ in range(int(rounds)):
        with limiter.slot(key):
            most = max(most, link.execute("INCR", key + ":inside"))
            time.sleep(0.002)
            link.execute("DECR", key + ":inside")
    print(most, flush=True)
    if rounds == "0":
        with limiter.slot(key):
            print("inside", flush=True)
            sys.stdin.readline()
"""


def started(url, key, rounds):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, url, key, str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_eight_processes_are_never_too_many_inside(redis_server, key_prefix):
    processes = [started(redis_server.url, key_prefix, 25) for _ in range(8)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    most = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert 1 < max(most) <= 3


def test_the_place_of_a_killed_process_comes_back(redis_server, link, key_prefix):
    process = started(redis_server.url, key_prefix, 0)
    process.stdin.write("\n")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == ["0\n", "inside\n"]
    limiter = ConcurrencyLimiter(1, store=RedisConcurrencyStore(link))
    process.kill()
    process.communicate()
    with pytest.raises(RateLimitExceeded), limiter.slot(key_prefix, timeout=0):
        pass
    with limiter.slot(key_prefix, timeout="10s"):
        pass


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ConcurrencyLimiter, AsyncConcurrencyLimiter])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("limit", 0), ("limit", True), ("limit", 2.0), ("lease", 0), ("lease", "soon"), ("name", "a:b")),
        *(("store", 5), ("store", MemoryConcurrencyStore), ("on_event", 5), ("clock", 5)),
    ],
)
def test_nonsense_is_refused(make, parameter, value):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got "):
        make(**{"limit": 1, parameter: value})


def test_a_slot_of_nonsense_is_refused():
    limiter = ConcurrencyLimiter(1)
    for key, timeout in ((None, 1), (5, 1), ("k", -1), ("k", "soon")):
        with pytest.raises(ConfigurationError):
            limiter.slot(key, timeout=timeout)


def test_a_store_of_the_other_kind_is_refused(link):
    with pytest.raises(TypeError, match="block the event loop"):
        AsyncConcurrencyLimiter(1, store=RedisConcurrencyStore(link))
    with pytest.raises(TypeError, match="async store"):
        ConcurrencyLimiter(
            1, store=AsyncRedisConcurrencyStore(AsyncRedisLink.from_url("redis://localhost:1"))
        )
