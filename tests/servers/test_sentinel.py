from __future__ import annotations

import contextlib

from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from tests.servers.lifeline import wait_until


def test_writes_go_on_at_the_replica_after_the_master_died(sentinel):
    servers = sentinel(sentinels=3)
    watch = Sentinel(servers.addresses, socket_timeout=0.5)
    master = watch.master_for(servers.name, socket_timeout=0.5)
    with contextlib.closing(master):
        assert master.set("k", 1)
        assert watch.discover_master(servers.name)[1] == servers.master.port
        servers.master.kill()

        def written() -> bool:
            with contextlib.suppress(RedisError):
                return bool(master.set("k", 2))
            return False

        wait_until(written, "a write succeeds again")
    assert servers.replica.cmd("GET", "k") == b"2"
    for one in watch.sentinels:
        one.close()
