"""Links to a master that Redis Sentinels watch."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio.sentinel
import redis.sentinel

from scalekit.errors import BackendError
from scalekit.redis import AsyncRedisLink, RedisLink
from scalekit.testing._driver import Driver
from tests.servers.lifeline import wait_until


def wrote(call, *command):
    try:
        return call(*command) is True
    except BackendError:
        return False


@pytest.mark.slow
def test_the_new_master_is_found_and_a_hung_sentinel_is_passed_over(sentinel):
    watched = sentinel()
    blocking = redis.sentinel.Sentinel(watched.addresses).master_for(watched.name)
    tasks = redis.asyncio.sentinel.Sentinel(watched.addresses).master_for(watched.name)
    with RedisLink(blocking, breaker_reset="100ms") as link, Driver() as drive:
        async_link = AsyncRedisLink(tasks, breaker_reset="100ms")

        def execute(*command):
            return drive(async_link.execute, *command)

        for call in (link.execute, execute):
            wait_until(lambda call=call: wrote(call, "SET", "a", "1"), "the master is found")
        # The first of three Sentinels hangs: new connections ask the next one, within the same deadline.
        link.close()
        drive(async_link.aclose)
        watched.sentinels[0].freeze()
        for call in (link.execute, execute):
            wait_until(lambda call=call: wrote(call, "SET", "a", "2"), "another Sentinel is asked", timeout=2)
        watched.sentinels[0].thaw()

        watched.master.kill()
        for call in (link.execute, execute):
            wait_until(lambda call=call: wrote(call, "SET", "a", "3"), "the new master is found")
        assert link.state == async_link.state == "closed"
        drive(async_link.aclose)
        drive(asyncio.sleep, 0)
