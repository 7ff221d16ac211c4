from __future__ import annotations

import contextlib

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.servers.lifeline import wait_until


def client_of(cluster):
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    return redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, retry=Retry(NoBackoff(), 0))


def test_keys_go_to_the_master_of_their_slot(redis_cluster):
    with contextlib.closing(client_of(redis_cluster)) as client:
        for number in range(30):
            client.set(f"k{number}", number)
    for number in range(30):
        assert redis_cluster.master_of(f"k{number}").cmd("GET", f"k{number}") == str(number).encode()


def test_the_rest_serves_while_one_master_is_down(redis_cluster):
    dead = redis_cluster.master_of("k1")
    alive = next(f"k{n}" for n in range(100) if redis_cluster.master_of(f"k{n}") is not dead)
    dead.kill()
    with contextlib.closing(client_of(redis_cluster)) as client:
        assert client.set(alive, 1)
        with pytest.raises(RedisError):
            client.get("k1")


def test_a_replica_takes_over(new_cluster):
    cluster = new_cluster(masters=3, replicas=1)
    master = cluster.master_of("k")
    master.cmd("SET", "k", "v")
    # Only what a replica has received survives its master.
    assert master.cmd("WAIT", 1, 5_000) == 1
    master.kill()
    heirs = cluster.replicas

    def taken_over() -> bool:
        return any(
            b"role:master" in heir.cmd("INFO", "replication") and heir.cmd("GET", "k") == b"v"
            for heir in heirs
        )

    wait_until(taken_over, "a replica of the dead master is promoted")
