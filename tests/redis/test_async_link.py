"""The asyncio link against real servers: replies, pipelining, cancellation, loops, deadline, breaker."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time

import pytest
import redis
import redis.asyncio
from anyio.to_thread import run_sync as apart

from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.redis import AsyncRedisLink
from scalekit.redis._packed import Packed
from scalekit.testing import ManualClock
from tests.redis.proxies import Proxy, full_backlog

DEADLINE = 0.05
SLACK = 0.02

pytestmark = pytest.mark.anyio


async def timed(awaitable):
    began = time.perf_counter()
    try:
        outcome = await awaitable
    except BackendError as error:
        outcome = error
    return time.perf_counter() - began, outcome


async def timed_out(link):
    """Three calls that must each end by the deadline; the quickest counts, since a busy machine only adds."""
    measured = [await timed(link.execute("ECHO", "x" * 50)) for _ in range(3)]
    assert [type(outcome) for _, outcome in measured] == [BackendTimeout] * 3
    assert "no answer within 50 ms" in str(measured[0][1])
    assert DEADLINE * 0.9 <= min(seconds for seconds, _ in measured) <= DEADLINE + SLACK


@pytest.fixture
async def link(own_redis):
    async with AsyncRedisLink.from_url(own_redis.url) as link:
        while (await timed(link.execute("PING")))[1] is not True:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield link


@pytest.fixture
async def patient(own_redis):
    async with AsyncRedisLink.from_url(own_redis.url, timeout="5s") as link:
        yield link


async def test_replies_are_what_redis_py_gives(redis_server, key_prefix):
    commands = [
        ("SET", f"{key_prefix}a", b"\x00\xff\r\n"),
        ("GET", f"{key_prefix}a"),
        ("get", f"{key_prefix}missing"),
        ("HSET", f"{key_prefix}h", "field", "1"),
        ("HGETALL", f"{key_prefix}h"),
        ("EVAL", "return {1, 'two', {3}, false}", 0),
        ("PING",),
        (b"ECHO", b"bytes for a name"),
    ]

    def by_redis_py():
        with redis.Redis.from_url(redis_server.url) as client:
            return [client.execute_command(*command) for command in commands]

    theirs = await apart(by_redis_py)
    async with AsyncRedisLink.from_url(redis_server.url, timeout="5s") as link:
        await link.execute("DEL", f"{key_prefix}h")
        assert [await link.execute(*command) for command in commands] == theirs
        await link.execute("DEL", f"{key_prefix}h")
        assert await link.pipeline(commands) == theirs
        assert await link.pipeline([]) == []


async def test_packed_commands_travel_with_others_and_their_replies_are_raw(redis_url):
    wired = Packed("PING", b"", b"*1\r\n$4\r\nPING\r\n")
    async with AsyncRedisLink.from_url(redis_url, timeout="5s") as link:
        assert await link.pipeline([wired, ("PING",), wired]) == [b"PONG", True, b"PONG"]
        outcomes = await asyncio.gather(
            link.pipeline([wired]),
            link.execute("ECHO", object()),
            link.pipeline([wired]),
            return_exceptions=True,
        )
        assert [o if isinstance(o, list) else type(o) for o in outcomes] == [
            [b"PONG"],
            ConfigurationError,
            [b"PONG"],
        ]


async def test_the_commands_of_one_tick_travel_together(own_redis, patient):
    await patient.execute("PING")
    before = await patient.execute("INFO", "stats")
    replies = await asyncio.gather(*(patient.execute("ECHO", f"value {i}") for i in range(50)))
    after = await patient.execute("INFO", "stats")
    assert replies == [f"value {i}".encode() for i in range(50)]
    assert after["total_commands_processed"] - before["total_commands_processed"] == 51
    # The server read 50 commands at once, and our second INFO.
    assert after["total_reads_processed"] - before["total_reads_processed"] <= 3


async def test_one_callers_trouble_is_no_others(redis_url, key_prefix, monkeypatch):
    async with AsyncRedisLink.from_url(redis_url, timeout="5s", breaker_failures=1) as link:
        link._here()._transport._callbacks["STRLEN"] = lambda _: 1 / 0
        outcomes = await asyncio.gather(
            link.execute("ECHO", "before"),
            link.execute("NOSUCH"),
            link.execute("ECHO", object()),
            link.execute("ECHO", "\ud800"),
            link.execute("STRLEN", f"{key_prefix}a"),
            link.execute(),
            link.execute("EVAL", "return redis.error_reply('MY error')", 0),
            link.execute("ECHO", "after"),
            return_exceptions=True,
        )
        ours = [b"before", BackendError, ConfigurationError, ConfigurationError, ZeroDivisionError]
        ours += [ConfigurationError, BackendError, b"after"]
        assert [o if isinstance(o, bytes) else type(o) for o in outcomes] == ours
        assert isinstance(outcomes[1].__cause__, redis.ResponseError)
        assert link.state == "closed"


async def test_an_error_reply_in_a_pipeline_is_raised_after_the_rest_took_effect(redis_url, key_prefix):
    async with AsyncRedisLink.from_url(redis_url, timeout="5s") as link:
        with pytest.raises(BackendError, match=r"redis LPUSH: .*wrong kind"):
            await link.pipeline(
                [("SET", f"{key_prefix}k", 1), ("LPUSH", f"{key_prefix}k", 1), ("INCR", f"{key_prefix}k")]
            )
        assert await link.execute("GET", f"{key_prefix}k") == b"2"


async def test_cancelled_calls_disturb_no_others_and_replies_never_cross(redis_url):
    chance = random.Random(7)
    async with AsyncRedisLink.from_url(redis_url, timeout="10s") as link:

        async def talk(name):
            for i in range(12):
                call = asyncio.ensure_future(link.execute("ECHO", f"{name}-{i}"))
                if chance.random() < 0.4:
                    for _ in range(chance.randrange(6)):  # before it is sent, while it is read, or too late
                        await asyncio.sleep(0)
                    call.cancel()
                    await asyncio.wait([call])
                    assert call.cancelled() or call.result() == f"{name}-{i}".encode()
                else:
                    assert await call == f"{name}-{i}".encode()

        await asyncio.gather(*(talk(name) for name in range(120)))
        assert link.state == "closed"


async def test_cancelling_every_caller_of_a_run_leaves_the_connection_sound(own_redis):
    async with AsyncRedisLink.from_url(own_redis.url, timeout="5s") as link:
        await link.execute("PING")
        await apart(own_redis.freeze)
        calls = [asyncio.ensure_future(link.execute("ECHO", f"lost {i}")) for i in range(20)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await apart(own_redis.thaw)
        replies = await asyncio.gather(*(link.execute("ECHO", f"{i}") for i in range(20)))
        assert replies == [f"{i}".encode() for i in range(20)]


async def test_a_frozen_server_costs_the_deadline_then_nothing(own_redis, link):
    assert await link.execute("SET", "a", "1") is True
    await apart(own_redis.freeze)
    await timed_out(link)
    assert link.state == "open"
    refusals = [await timed(link.execute("GET", "a")) for _ in range(50)]
    assert all(isinstance(outcome, BackendUnavailable) for _, outcome in refusals)
    assert sorted(seconds for seconds, _ in refusals)[45] < 0.001


async def test_more_ticks_than_runs_wait_no_longer_than_the_deadline(own_redis):
    async with AsyncRedisLink.from_url(own_redis.url, breaker_failures=1_000) as link:
        await link.execute("PING")
        await apart(own_redis.freeze)
        calls = []
        for _ in range(40):  # each in a tick of its own, and there are 8 connections
            calls.append(asyncio.ensure_future(timed(link.execute("PING"))))
            await asyncio.sleep(0.0005)
        measured = await asyncio.gather(*calls)
        assert all(isinstance(outcome, BackendTimeout) for _, outcome in measured)
        assert sorted(seconds for seconds, _ in measured)[20] <= DEADLINE + SLACK
        await apart(own_redis.thaw)
        assert await link.execute("ECHO", "well again") == b"well again"


@pytest.mark.slow
async def test_service_resumes_within_a_second_of_the_thaw(own_redis, link):
    await link.execute("SET", "a", "1")
    await apart(own_redis.freeze)
    for _ in range(3):
        await timed(link.execute("GET", "a"))
    while not isinstance((await timed(link.execute("GET", "a")))[1], BackendTimeout):  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    await apart(own_redis.thaw)  # just after a failed probe: the longest wait there is
    thawed = time.perf_counter()
    while (await timed(link.execute("GET", "a")))[1] != b"1":
        await asyncio.sleep(0.002)
        assert time.perf_counter() - thawed <= 1.0
    assert link.state == "closed"


async def test_exactly_one_of_many_tasks_probes(own_redis):
    clock = ManualClock()
    seen = []
    async with AsyncRedisLink.from_url(
        own_redis.url, timeout="200ms", clock=clock, on_event=seen.append
    ) as link:
        await apart(own_redis.freeze)
        for _ in range(3):
            await timed(link.execute("PING"))
        clock.advance("1s")
        outcomes = [
            outcome for _, outcome in await asyncio.gather(*(timed(link.execute("PING")) for _ in range(200)))
        ]
        assert sum(isinstance(outcome, BackendTimeout) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, BackendUnavailable) for outcome in outcomes) == 199
        clock.advance("1s")
        probe = asyncio.ensure_future(link.execute("PING"))
        await asyncio.sleep(0)
        probe.cancel()  # the place of a probe that gives up is free again
        with pytest.raises(asyncio.CancelledError):
            await probe
        await apart(own_redis.thaw)
        assert await link.execute("PING") is True
    outcomes = [event.outcome for event in seen]
    assert outcomes == ["open", "half-open", "open", "half-open", "half-open", "closed"]


async def test_a_restarted_server_is_found_again_without_a_failed_call(own_redis, patient):
    await asyncio.gather(*(patient.execute("PING") for _ in range(3)))
    await apart(own_redis.restart)
    assert await patient.execute("PING") is True


async def test_a_dead_server_is_an_error_at_once_and_not_a_time_out(own_redis, patient):
    await patient.execute("PING")
    await apart(own_redis.kill)
    for _ in range(3):
        with pytest.raises(BackendError) as caught:
            await patient.execute("PING")
        assert type(caught.value) is BackendError
        assert isinstance(caught.value.__cause__, (redis.ConnectionError, OSError))
    with pytest.raises(BackendUnavailable, match=r"redis PING: not asked.*next probe in [01]\.\d+ s"):
        await patient.execute("PING")


@pytest.mark.parametrize("fault", [{"delay": 0.03}, {"drip": 0.01}], ids=["slow replies", "dripping replies"])
async def test_the_deadline_is_one_for_connect_handshake_and_reply(redis_url, fault):
    proxy = Proxy(redis.connection.parse_url(redis_url)["port"], **fault)
    async with AsyncRedisLink.from_url(f"redis://127.0.0.1:{proxy.port}/1") as link:
        await timed_out(link)
    await apart(proxy.close)


async def test_a_connect_that_hangs_costs_the_deadline():
    with full_backlog() as port:
        async with AsyncRedisLink.from_url(f"redis://127.0.0.1:{port}/0") as link:
            await timed_out(link)


async def test_closing_fails_what_is_under_way_and_the_link_can_be_used_again(own_redis, link):
    await link.execute("PING")
    await apart(own_redis.freeze)
    calls = [asyncio.ensure_future(timed(link.execute("PING"))) for _ in range(3)]
    await asyncio.sleep(0)
    await link.aclose()
    assert [type(outcome) for _, outcome in await asyncio.gather(*calls)] == [BackendError] * 3
    assert link.state == "closed"  # that was no statement about the server
    await link.aclose()
    await apart(own_redis.thaw)
    clients = [
        line
        for line in (await apart(own_redis.cmd, "CLIENT", "LIST")).splitlines()
        if b"lib-name=redis-py" in line
    ]
    assert clients == []


async def test_a_stall_of_the_loop_is_not_the_servers_silence(own_redis, link):
    await apart(own_redis.freeze)
    calls = [asyncio.ensure_future(link.execute("ECHO", f"{i}")) for i in range(3)]
    await asyncio.sleep(0.005)  # they are on their way
    thaw = threading.Timer(0.01, os.kill, (own_redis.pid, signal.SIGCONT))
    thaw.start()
    until = time.perf_counter() + 2 * DEADLINE
    while time.perf_counter() < until:  # the replies arrive meanwhile
        pass
    assert await asyncio.gather(*calls) == [b"0", b"1", b"2"]
    await apart(thaw.join)
    assert link.state == "closed"


async def test_an_empty_pipeline_is_no_sign_of_life(own_redis):
    clock = ManualClock()
    async with AsyncRedisLink.from_url(own_redis.url, clock=clock, breaker_failures=1) as link:
        await apart(own_redis.freeze)
        await timed(link.execute("PING"))
        clock.advance("1s")
        assert await link.pipeline([]) == []
        assert link.state == "open"
        await apart(own_redis.thaw)


async def test_unix_sockets(own_redis):
    path = own_redis.directory / "redis.sock"
    own_redis.options = (*own_redis.options, "--unixsocket", str(path))
    await apart(own_redis.restart)
    async with AsyncRedisLink.from_url(f"unix://{path}", timeout="5s") as link:
        assert await link.execute("ECHO", "over a path") == b"over a path"
