"""The Redis stores as callers see them: the server's clock, round trips, processes, failures."""

from __future__ import annotations

import struct
import subprocess
import sys
import time

import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError, BackendTimeout, ConfigurationError
from scalekit.ratelimit import AsyncRateLimiter, Limit, Quota, RateLimiter, Verdict
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until

SECOND = 1_000_000
HOUR = 3_600 * SECOND
IGNORED = -1  # the caller's clock


def quota(text):
    return Quota(Limit.parse_many(text))


@pytest.fixture
def link(redis_server):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        yield link


@pytest.fixture
def own_link(own_redis):
    with RedisLink.from_url(own_redis.url, timeout="5s") as link:
        yield link


@pytest.fixture
def driver():
    with Driver() as driver:
        yield driver


@pytest.fixture
def async_link(own_redis, driver):
    """Closed at the end: left to the garbage collector, its connections warn in the midst of another test."""
    link = AsyncRedisLink.from_url(own_redis.url, timeout="5s")
    yield link
    driver(link.aclose)


@pytest.fixture(params=["sync", "async"])
def own_store(request, own_redis, own_link, driver):
    """Either store on a server of its own; call its methods through `driver`."""
    if request.param == "sync":
        return RedisRateLimitStore(own_link)
    return AsyncRedisRateLimitStore(request.getfixturevalue("async_link"))


# -- the server's clock ----------------------------------------------------------------------------


def time_of(link):
    seconds, microseconds = map(int, link.execute("TIME"))
    return seconds * SECOND + microseconds


def test_time_is_the_servers_whatever_the_caller_says(link, key_prefix):
    store, plan = RedisRateLimitStore(link), quota("2/h")
    before = time_of(link)
    assert store.hit(key_prefix, plan, 1, IGNORED) == Verdict(True, (0,), (1,), (HOUR,))
    (latest,) = struct.unpack(">d", link.execute("GETRANGE", f"sk:rl:{key_prefix}", 1, 8))
    assert before <= latest <= time_of(link)
    assert store.hit(key_prefix, plan, 1, 1 << 60).remaining == (0,)
    denied = store.hit(key_prefix, plan, 1, 1 << 61)
    assert not denied.allowed
    assert HOUR - (time_of(link) - before) <= denied.retry[0] <= denied.reset[0] <= HOUR


def test_a_unit_is_back_after_its_window_by_the_servers_clock(link, key_prefix):
    store, plan = RedisRateLimitStore(link), quota("1/20ms")
    began = time.monotonic()
    assert store.hit(key_prefix, plan, 1, IGNORED).allowed
    wait_until(lambda: store.hit(key_prefix, plan, 1, IGNORED).allowed, "the window has passed", timeout=5)
    assert time.monotonic() - began >= 0.02 - 0.001


def test_callers_an_hour_apart_share_one_count(link, key_prefix):
    store = RedisRateLimitStore(link)
    clocks = [lambda skew=skew: time.monotonic() + skew for skew in (0, 3_600, -3_600)]
    limiters = [RateLimiter("5/m", store=store, name="skewed", clock=clock) for clock in clocks]
    admitted = [limiter.hit(key_prefix).allowed for _ in range(4) for limiter in limiters]
    assert admitted == [True] * 5 + [False] * 7


PROCESS = """
import sys, time
from scalekit.ratelimit import RateLimiter
from scalekit.ratelimit.redis import RedisRateLimitStore
from scalekit.redis import RedisLink

url, key, skew, algorithm, *limits = sys.argv[1:]
with RedisLink.from_url(url, timeout="5s") as link:
    limiter = RateLimiter(
        *limits,
        store=RedisRateLimitStore(link),
        clock=lambda: time.monotonic() + int(skew),
        algorithm=algorithm,
        on_error="raise",
    )
    limiter.peek(key)
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum(limiter.hit(key).allowed for _ in range(400)), limiter.peek(key).states[1].remaining)
"""


@pytest.mark.parametrize(
    ("algorithm", "limits"),
    [
        ("sliding-window", ("400/d", "1000/w")),
        ("sliding-log", ("400/d", "1000/w")),
        ("sliding-counter", ("400/100d", "1000/400d")),
        ("gcra", ("400/1000d", "1000/2000d")),
        ("fixed-window", ("400/100d", "1000/400d")),
    ],
)
def test_eight_processes_admit_exactly_the_limit(redis_server, key_prefix, algorithm, limits):
    """Their clocks are up to an hour apart to both sides."""
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS,
                redis_server.url,
                key_prefix,
                str(1_000 * (n - 4)),
                algorithm,
                *limits,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [tuple(map(int, process.communicate(timeout=30)[0].split())) for process in processes]
    assert sum(admitted for admitted, _ in answers) == 400
    assert {remaining for _, remaining in answers} == {600}


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_call_is_one_evalsha(own_redis, own_store, driver, algorithm):
    plan = Quota(Limit.parse_many("2/s; 4/h; 300/d; 5000/w"), algorithm)
    driver(own_store.hit, "k", plan, 1, IGNORED)
    own_redis.cmd("CONFIG", "RESETSTAT")
    for method in ("hit", "hit", "hit", "peek", "refund"):
        driver(getattr(own_store, method), "k", plan, 1, IGNORED)
    calls = own_redis.calls()
    assert calls["evalsha"] == 5
    within = {"time", "get", "getrange", "setrange", "pexpire", "set", "config", "config|resetstat"}
    assert set(calls) - within == {"evalsha"}  # nothing else came in


def test_a_forgotten_script_costs_one_more_trip(own_redis, own_store, driver):
    plan = quota("5/h")
    assert driver(own_store.hit, "k", plan, 1, IGNORED).remaining == (4,)
    own_redis.cmd("SCRIPT", "FLUSH")
    own_redis.cmd("CONFIG", "RESETSTAT")
    assert driver(own_store.hit, "k", plan, 1, IGNORED).remaining == (3,)
    assert driver(own_store.hit, "k", plan, 1, IGNORED).remaining == (2,)
    calls = own_redis.calls()
    assert (calls["evalsha"], calls["eval"]) == (2, 1)


def test_a_restarted_server_starts_anew(own_redis, own_store, driver):
    plan = quota("5/h")
    driver(own_store.hit, "k", plan, 1, IGNORED)
    own_redis.restart()
    assert driver(own_store.hit, "k", plan, 1, IGNORED).remaining == (4,)


def test_the_hits_of_one_tick_count_each(async_link, driver):
    limiter = AsyncRateLimiter("7/h", store=AsyncRedisRateLimitStore(async_link))

    async def hit():
        return (await limiter.hit("k")).allowed

    assert driver.concurrently([hit] * 20) == [True] * 7 + [False] * 13


def test_both_faces_share_a_key(own_link, async_link, driver):
    threads = RateLimiter("3/h", store=RedisRateLimitStore(own_link))
    tasks = AsyncRateLimiter("3/h", store=AsyncRedisRateLimitStore(async_link))
    assert threads.hit("k").remaining == 2
    assert driver(tasks.hit, "k").remaining == 1
    assert threads.hit("k").remaining == 0
    assert not driver(tasks.hit, "k")
    driver(tasks.reset, "k")
    assert threads.peek("k").remaining == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cluster_counts_each_key_where_it_lives(redis_cluster, driver, algorithm):
    """No key of the store but the one it is called with, so that any slot will do."""
    plan = Quota(Limit.parse_many("3/d; 5000/w"), algorithm)
    tasks = AsyncRedisLink(redis.asyncio.RedisCluster.from_url(redis_cluster.url), timeout="5s")
    with RedisLink(redis.RedisCluster.from_url(redis_cluster.url), timeout="5s") as link:
        threads, others = RedisRateLimitStore(link), AsyncRedisRateLimitStore(tasks)
        for n in range(30):
            assert threads.hit(f"k{n}", plan, 2, IGNORED).remaining[0] == 1
            assert driver(others.hit, f"k{n}", plan, 1, IGNORED).remaining[0] == 0
            assert not threads.hit(f"k{n}", plan, 1, IGNORED).allowed
        threads.refund("k7", plan, 1, IGNORED)
        assert driver(others.peek, "k7", plan, 1, IGNORED).allowed
    driver(tasks.aclose)


# -- what is refused, and what fails ---------------------------------------------------------------


def test_a_store_takes_a_link_or_a_client_and_connects_to_neither():
    nobody = "redis://localhost:1/0"
    link, async_link = RedisLink.from_url(nobody), AsyncRedisLink.from_url(nobody)
    assert RedisRateLimitStore(link).link is link
    assert AsyncRedisRateLimitStore(async_link).link is async_link
    assert RedisRateLimitStore(redis.Redis.from_url(nobody)).link.timeout == 0.05
    assert AsyncRedisRateLimitStore(redis.asyncio.Redis.from_url(nobody)).link.timeout == 0.05


def test_a_store_of_a_client_has_a_link_of_its_own(own_redis, driver):
    plan = quota("5/h")
    with redis.Redis.from_url(own_redis.url, socket_timeout=60) as client:
        store = RedisRateLimitStore(client)
        wait_until(lambda: answered(store, plan), "it is connected within 50 ms")
        store.link.close()
    asynchronous = AsyncRedisRateLimitStore(redis.asyncio.Redis.from_url(own_redis.url))
    wait_until(lambda: driver(answered_too, asynchronous, plan), "it is connected within 50 ms")
    driver(asynchronous.link.aclose)


def answered(store, plan):
    try:
        return store.hit("k", plan, 1, IGNORED)
    except BackendError:
        return None


async def answered_too(store, plan):
    try:
        return await store.hit("k", plan, 1, IGNORED)
    except BackendError:
        return None


@pytest.mark.parametrize(
    ("store", "given", "named"),
    [
        (RedisRateLimitStore, AsyncRedisLink.from_url("redis://h"), "AsyncRedisRateLimitStore takes"),
        (RedisRateLimitStore, redis.asyncio.Redis(), "AsyncRedisRateLimitStore takes"),
        (AsyncRedisRateLimitStore, RedisLink.from_url("redis://h"), r"\(RedisRateLimitStore takes"),
        (AsyncRedisRateLimitStore, redis.Redis(), r"\(RedisRateLimitStore takes"),
        (RedisRateLimitStore, "redis://h", r"a client of redis \(of a URL, RedisLink.from_url\(url\)\); got"),
        (AsyncRedisRateLimitStore, None, "as an AsyncRedisLink or a client of redis.asyncio; got"),
    ],
)
def test_what_is_no_link_and_no_client_is_refused(store, given, named):
    with pytest.raises(ConfigurationError, match=named) as refused:
        store(given)
    assert refused.value.parameter == "link"


def test_a_frozen_server_is_a_timeout_and_never_a_denial(own_redis, driver):
    plan = quota("5/h")
    tasks = AsyncRedisRateLimitStore(AsyncRedisLink.from_url(own_redis.url, breaker_failures=1_000))
    with RedisLink.from_url(own_redis.url, breaker_failures=1_000) as link:
        threads = RedisRateLimitStore(link)
        wait_until(lambda: answered(threads, plan), "it is connected")
        wait_until(lambda: driver(answered_too, tasks, plan), "it is connected")
        own_redis.freeze()
        for store in (threads, tasks):
            for method in (store.hit, store.peek, store.refund):
                with pytest.raises(BackendTimeout, match="EVALSHA: no answer within 50 ms"):
                    driver(method, "k", plan, 1, IGNORED)
            with pytest.raises(BackendTimeout, match="DEL: no answer within 50 ms"):
                driver(store.reset, "k")
        own_redis.thaw()
