"""A Redis that fails under a limiter, and comes back: each mode, sync and async, on a real server."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.errors import BackendError
from scalekit.ratelimit import AsyncRateLimiter, RateLimiter
from scalekit.ratelimit.redis import AsyncRedisRateLimitStore, RedisRateLimitStore
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until

MODES = ("local", "open", "closed", "raise")
FAULTS = {
    "frozen": (lambda server: server.freeze(), lambda server: server.thaw()),
    "killed": (lambda server: server.kill(), lambda server: server.restart()),
    "out of memory": (
        lambda server: server.cmd("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.cmd("CONFIG", "SET", "maxmemory", "0"),
    ),
}


@pytest.fixture(params=["sync", "async"])
def made(request, own_redis):
    """Return what makes a limiter on the server, and what calls its methods."""
    options = {"timeout": "100ms", "breaker_reset": "50ms"}
    with Driver() as driver:
        if request.param == "sync":
            link = RedisLink.from_url(own_redis.url, **options)
            store, face, close = RedisRateLimitStore(link), RateLimiter, link.close
        else:
            link = AsyncRedisLink.from_url(own_redis.url, **options)
            store, face, close = AsyncRedisRateLimitStore(link), AsyncRateLimiter, link.aclose
        yield lambda *limits, **given: face(*limits, store=store, **given), driver
        driver(close)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_and_its_end(own_redis, made, fault, mode):
    make, call = made
    limiter = make("5/h", on_error=mode, expected_processes=2)
    assert call(limiter.hit, "k", cost=2).remaining == 3
    strike, cure = FAULTS[fault]
    strike(own_redis)
    try:
        if mode == "raise":
            with pytest.raises(BackendError):
                call(limiter.hit, "k")
        else:
            decisions = [call(limiter.hit, "k") for _ in range(6)]
            assert all(decision.degraded for decision in decisions)
            admitted = sum(decision.allowed for decision in decisions)
            assert admitted == {"local": 2, "open": 6, "closed": 0}[mode]
    finally:
        cure(own_redis)

    def answers():
        try:
            decision = call(limiter.peek, "k")
        except BackendError:
            return False
        return not decision.degraded

    wait_until(answers, "the store answers again")
    left = call(limiter.hit, "k").remaining
    assert left in ((4, 2) if fault == "killed" else (2, 1)), "1: a hit of the outage did arrive"


def test_a_server_that_forgets_its_scripts_is_no_outage(own_redis, made):
    make, call = made
    limiter = make("5/h", on_error="raise")
    call(limiter.hit, "k")
    own_redis.cmd("SCRIPT", "FLUSH")
    assert call(limiter.hit, "k").remaining == 3


def test_a_frozen_server_does_not_hold_up_the_loop(own_redis):
    asyncio.run(_turns_of_the_loop(own_redis))


async def _turns_of_the_loop(own_redis):
    async with AsyncRedisLink.from_url(own_redis.url, timeout="500ms") as link:
        limiter = AsyncRateLimiter("5/h", store=AsyncRedisRateLimitStore(link))
        await limiter.hit("k")
        await asyncio.to_thread(own_redis.freeze)
        try:
            hit = asyncio.create_task(limiter.hit("k"))
            turns = 0
            while not hit.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert (await hit).degraded
            assert turns > 5  # a hit that blocks leaves one or two
        finally:
            await asyncio.to_thread(own_redis.thaw)
