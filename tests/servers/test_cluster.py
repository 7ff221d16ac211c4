from __future__ import annotations

import contextlib

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisError
from redis.retry import Retry


def client_of(cluster):
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    return redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, retry=Retry(NoBackoff(), 0))


def test_keys_go_to_the_master_of_their_slot(redis_cluster):
    with contextlib.closing(client_of(redis_cluster)) as client:
        for number in range(30):
            client.set(f"k{number}", number)
    for number in range(30):
        assert redis_cluster.master_of(f"k{number}").cmd("GET", f"k{number}") == str(number).encode()


@pytest.mark.slow
def test_the_rest_serves_while_one_master_is_down(redis_cluster):
    dead = redis_cluster.master_of("k1")
    alive = next(f"k{n}" for n in range(100) if redis_cluster.master_of(f"k{n}") is not dead)
    dead.kill()
    with contextlib.closing(client_of(redis_cluster)) as client:
        assert client.set(alive, 1)
        with pytest.raises(RedisError):
            client.get("k1")
