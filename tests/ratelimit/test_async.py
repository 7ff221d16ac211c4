from __future__ import annotations

import asyncio
import math

import pytest

from scalekit.errors import RateLimitExceeded
from scalekit.ratelimit import AsyncRateLimiter, Limit, MemoryRateLimitStore
from scalekit.testing import Gate, ManualClock, hung, slow
from tests.ratelimit.stores import AwaitedMemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=[MemoryRateLimitStore, AwaitedMemoryStore])
def store(request):
    return request.param()


async def test_hit_peek_refund_reset(clock, store):
    events = []
    limiter = AsyncRateLimiter("3/s", "5/m", clock=clock, store=store, on_event=events.append)
    assert (await limiter.hit("k")).remaining == 2
    assert (await limiter.hit("k", cost=2)).remaining == 0
    denied = await limiter.hit("k")
    assert not denied
    assert (await limiter.peek("k")).retry_after == denied.retry_after == 1.0
    await limiter.refund("k")
    assert (await limiter.peek("k")).remaining == 1
    await limiter.reset("k")
    assert (await limiter.peek("k")).remaining == 3
    assert [(event.name, event.outcome) for event in events] == [
        *(("hit", "allowed"), ("hit", "allowed"), ("hit", "denied"), ("refund", "ok"), ("reset", "ok"))
    ]


async def test_without_a_hook_and_with_odd_keys(clock, store):
    limiter = AsyncRateLimiter("2/m", clock=clock, store=store)
    long = "🔑" * 500
    assert await limiter.acquire(long)
    await limiter.refund(long)
    assert (await limiter.peek(long)).remaining == 2
    await limiter.hit(long)
    await limiter.reset(long)
    assert (await limiter.peek(long)).remaining == 2


async def test_limits_per_key_and_exemption(clock, store):
    events = []
    limiter = AsyncRateLimiter(
        lambda key: {"free": "1/m", "pro": Limit(2, "1m")}[key],
        clock=clock,
        store=store,
        exempt={"vip", "free"},
        on_event=events.append,
    )
    for _ in range(3):
        assert await limiter.hit("free", cost=5)
        assert await limiter.peek("free", cost=5)
    assert await limiter.hit("pro", cost=2)
    assert not await limiter.hit("pro")
    assert (await limiter.hit("vip")).limit.name == "exempt"  # whose plan is not asked for
    assert (await limiter.peek("vip")).limit.name == "exempt"
    await limiter.refund("vip")
    assert [event.outcome for event in events] == ["exempt"] * 3 + ["allowed", "denied"] + ["exempt"] * 2


async def test_acquire_waits_with_the_loop(clock, store):
    async def sleep(seconds):
        await asyncio.sleep(0)
        clock.advance(seconds)

    events = []
    limiter = AsyncRateLimiter("2/s", clock=clock, store=store, sleep=sleep, on_event=events.append)
    start = clock()
    for _ in range(7):
        assert await limiter.acquire("k")
    assert clock() - start == 3.0
    assert (events[-1].name, events[-1].seconds) == ("acquire", 1.0)
    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("k", cost=2, timeout="999ms")
    with pytest.raises(RateLimitExceeded) as caught:
        await limiter.acquire("k", cost=3)
    assert caught.value.decision.retry_after == math.inf


async def test_acquire_sleeps_for_real_by_default():
    limiter = AsyncRateLimiter("1/20ms")
    loop = asyncio.get_running_loop()
    start = loop.time()
    for _ in range(3):
        await limiter.acquire("k")
    assert loop.time() - start >= 0.039


async def test_a_cancelled_waiter_consumes_nothing(clock, store):
    limiter = AsyncRateLimiter("2/h", clock=clock, store=store)
    await limiter.hit("k")
    waiters = [asyncio.create_task(limiter.acquire("k", cost=2)) for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    for waiter in waiters:
        waiter.cancel()
    assert [type(r) for r in await asyncio.gather(*waiters, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 5
    assert (await limiter.peek("k")).remaining == 1


async def test_waiters_on_one_key_never_delay_another(clock, store):
    limiter = AsyncRateLimiter("1/h", clock=clock, store=store)
    await limiter.hit("busy")
    waiters = [asyncio.create_task(limiter.acquire("busy")) for _ in range(50)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert await asyncio.wait_for(limiter.acquire("free"), 1)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)


async def test_tasks_admit_exactly_the_limit(store):
    limiter = AsyncRateLimiter("100/h", "300/d", store=store)
    decisions = await asyncio.gather(*(limiter.hit("k") for _ in range(400)))
    assert sum(decision.allowed for decision in decisions) == 100


async def test_limited(clock, store):
    limiter = AsyncRateLimiter("1/m", clock=clock, store=store)

    @limiter.limited(key=lambda user: f"user:{user}")
    async def send(user: int) -> int:
        """Send."""
        return user

    assert await send(1) == 1
    assert await send(2) == 2
    with pytest.raises(RateLimitExceeded):
        await send(1)
    assert (send.__name__, send.__doc__) == ("send", "Send.")

    @limiter.limited(key="fixed")
    async def ping():
        return "pong"

    assert await ping() == "pong"
    with pytest.raises(TypeError, match=r"<lambda> is not async.*RateLimiter\.limited"):
        limiter.limited(key="k")(lambda: None)


async def test_a_store_that_blocks_is_a_type_error():
    class Blocking(MemoryRateLimitStore):
        nonblocking = False

    for store in (Blocking(), slow(MemoryRateLimitStore(), 1), hung(MemoryRateLimitStore(), Gate())):
        with pytest.raises(TypeError, match="would block the event loop"):
            AsyncRateLimiter("1/s", store=store)


async def test_a_limiter_works_from_one_loop_after_another(store):
    limiter = AsyncRateLimiter("3/h", store=store)
    await limiter.hit("k")

    def other_loop():
        return asyncio.run(limiter.hit("k")).remaining

    assert await asyncio.to_thread(other_loop) == 1
    assert (await limiter.hit("k")).remaining == 0
