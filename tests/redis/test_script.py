"""Scripts are sent by their names, and whole only to a server that has forgotten them."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.errors import BackendError
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.redis._script import Script, async_run, run

CALLS = [(1, "a", "x"), (1, "b", "y")]


class Sync:
    """What runs a script, and how often its link was asked."""

    def __init__(self, url):
        self.link = RedisLink.from_url(url, timeout="5s")
        self.trips = []

    def run(self, script, calls):
        pipeline = self.link.pipeline

        def counted(commands):
            self.trips.append([command[0] for command in commands])
            return pipeline(commands)

        self.link.pipeline = counted
        try:
            return run(self.link, script, calls)
        finally:
            self.link.pipeline = pipeline
            self.link.close()


class Async(Sync):
    def __init__(self, url):
        self.link = AsyncRedisLink.from_url(url, timeout="5s")
        self.trips = []

    def run(self, script, calls):
        pipeline = self.link.pipeline

        async def counted(commands):
            self.trips.append([command[0] for command in commands])
            return await pipeline(commands)

        self.link.pipeline = counted
        try:
            return asyncio.run(async_run(self.link, script, calls))
        finally:
            self.link.pipeline = pipeline


@pytest.fixture(params=[Sync, Async])
def runner(request, redis_url):
    return request.param(redis_url)


def test_a_server_is_taught_once(runner, key_prefix):
    script = Script(f"return {{KEYS[1], ARGV[1]}} -- {key_prefix}")
    assert runner.run(script, CALLS) == [[b"a", b"x"], [b"b", b"y"]]
    assert runner.trips == [["EVALSHA"] * 2, ["EVAL"] * 2]
    runner.trips.clear()
    assert runner.run(script, CALLS) == [[b"a", b"x"], [b"b", b"y"]]
    assert runner.trips == [["EVALSHA"] * 2]


def test_an_error_of_the_script_is_not_run_again(runner, key_prefix):
    script = Script(f"return redis.error_reply('NO luck') -- {key_prefix}")
    for _ in range(2):
        runner.trips.clear()
        with pytest.raises(BackendError, match="luck"):
            runner.run(script, CALLS[:1])
    assert runner.trips == [["EVALSHA"]]


def test_nothing_to_do_is_nothing_sent(runner):
    assert runner.run(Script("return 1"), []) == []
