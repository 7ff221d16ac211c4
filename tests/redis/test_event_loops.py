"""The asyncio link and the loops it is used from: in turn, at once, and none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import fakeredis.aioredis
import pytest
import redis
import redis.asyncio

from scalekit.errors import BackendError, ConfigurationError
from scalekit.redis import AsyncRedisLink


def test_two_loops_in_turn_and_nothing_is_left_open(redis_url):
    # A process of its own, where every warning about an open socket or a pending task is seen.
    script = f"""
import asyncio, gc
from scalekit.redis import AsyncRedisLink
link = AsyncRedisLink.from_url({redis_url!r}, timeout="5s")
async def main(count):
    return await asyncio.gather(*(link.execute("ECHO", str(i)) for i in range(count)))
assert asyncio.run(main(20))[19] == b"19"
assert asyncio.run(main(30))[29] == b"29"   # the first loop's connections are gone with it
loop = asyncio.new_event_loop()
assert loop.run_until_complete(main(3)) == [b"0", b"1", b"2"]
loop.run_until_complete(link.aclose())
loop.close()
assert asyncio.run(main(1)) == [b"0"]
del link
gc.collect()
"""
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(arguments, check=True, timeout=30, capture_output=True, text=True)
    # asyncio's word on a step that took long is about the machine.
    assert [line for line in done.stderr.splitlines() if not line.startswith("Executing ")] == []


def test_two_loops_at_once(redis_url):
    link = AsyncRedisLink.from_url(redis_url, timeout="5s")
    wrong = []

    async def talk(name):
        for i in range(100):
            replies = await asyncio.gather(*(link.execute("ECHO", f"{name}-{i}-{j}") for j in range(5)))
            wrong.extend(r for j, r in enumerate(replies) if r != f"{name}-{i}-{j}".encode())

    threads = [threading.Thread(target=asyncio.run, args=(talk(name),)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_outside_a_loop_it_says_so(redis_url):
    link = AsyncRedisLink.from_url(redis_url, timeout="5s")
    with pytest.raises(RuntimeError, match="no running event loop"):
        link.execute("PING").send(None)


def test_a_fake_client_will_do_for_tests():
    async def main():
        async with AsyncRedisLink(fakeredis.aioredis.FakeRedis()) as link:
            assert await link.pipeline([("SET", "a", "1"), ("GET", "a")]) == [True, b"1"]
            assert sorted(await asyncio.gather(*(link.execute("INCR", "n") for _ in range(5)))) == [
                1,
                2,
                3,
                4,
                5,
            ]
            with pytest.raises(BackendError):
                await link.execute("NOSUCH")

    asyncio.run(main())


def test_nonsense_is_refused_at_construction():
    for client in (redis.Redis(), redis.RedisCluster, "redis://localhost", None):
        with pytest.raises(ConfigurationError, match=r"expected client "):
            AsyncRedisLink(client)
    with pytest.raises(ConfigurationError, match=r"use RedisLink\)"):
        AsyncRedisLink(redis.Redis())
    with pytest.raises(ConfigurationError, match=r"decode_responses=False"):
        AsyncRedisLink(redis.asyncio.Redis(decode_responses=True))
    with pytest.raises(ConfigurationError, match=r"expected timeout as a duration"):
        AsyncRedisLink.from_url("redis://localhost", timeout="5 parsecs")
    with pytest.raises(ConfigurationError, match=r"expected url such as"):
        AsyncRedisLink.from_url("http://localhost")
