"""The adapter on a real Memcached, where there is one: it has no moving window, so not by the whole suite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import limits.storage
import pytest

from scalekit.errors import BackendError, ConfigurationError
from scalekit.ratelimit.limits import LimitsRateLimitStore
from scalekit.testing.ratelimit import _ODD_KEYS, _ODD_KEYS_TOO
from tests.ratelimit.limits_storages import quota
from tests.servers.lifeline import free_port

COUNTED = ["sliding-counter", "fixed-window"]


@pytest.fixture
def store(memcached):
    from pymemcache import PooledClient

    # One client for all threads: those of limits' own, one per thread, are never closed.
    with closing(PooledClient(f"127.0.0.1:{memcached.port}")) as client:
        yield LimitsRateLimitStore(
            limits.storage.MemcachedStorage(memcached.url, client_getter=lambda module, hosts: client)
        )


def test_a_moving_window_is_refused(store, key_prefix):
    with pytest.raises(ConfigurationError, match="'sliding-counter' or 'fixed-window' in Memcached"):
        store.hit(key_prefix, quota("1/h"), 1, 0)


@pytest.mark.parametrize("algorithm", COUNTED)
def test_admits_exactly_the_limit_and_resets(store, key_prefix, algorithm):
    asked = quota("5/12h", algorithm)
    for cost, allowed, left in [(2, True, 3), (4, False, 3), (6, False, 3), (3, True, 0), (1, False, 0)]:
        assert store.peek(key_prefix, asked, cost, 0).allowed is allowed
        verdict = store.hit(key_prefix, asked, cost, 0)
        assert (verdict.allowed, verdict.remaining) == (allowed, (left,))
    assert 0 < verdict.retry[0] <= verdict.reset[0] + 1 <= 2 * 12 * 3_600_000_000 + 1
    store.reset(key_prefix)
    assert store.hit(key_prefix, asked, 1, 0).remaining == (4,)


@pytest.mark.parametrize("algorithm", COUNTED)
def test_every_key_is_another(store, key_prefix, algorithm):
    asked = quota("2/12h", algorithm)
    for left in (1, 0):
        for odd in _ODD_KEYS + _ODD_KEYS_TOO:
            assert store.hit(key_prefix + odd, asked, 1, 0).remaining == (left,), odd


@pytest.mark.parametrize(
    ("algorithm", "longest", "beyond"), [("fixed-window", "30d", "31d"), ("sliding-counter", "15d", "16d")]
)
def test_the_longest_window_is_kept_and_a_longer_one_refused(store, key_prefix, algorithm, longest, beyond):
    assert [store.hit(key_prefix, quota(f"1/{longest}", algorithm), 1, 0).allowed for _ in range(2)] == [
        True,
        False,
    ]
    with pytest.raises(ConfigurationError, match="window <= "):
        store.hit(key_prefix, quota(f"1/{beyond}", algorithm), 1, 0)


def test_why_a_longer_window_is_refused(store, key_prefix):
    """Memcached takes it for a date long past: nothing would be counted, and every hit admitted."""
    storage = store._storage
    assert [storage.incr(key_prefix, 31 * 86_400) for _ in range(3)] == [1, 1, 1]


def test_concurrent_hits_admit_exactly_the_limit(store, key_prefix):
    asked = quota("100/12h", "fixed-window")
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: store.hit(key_prefix, asked, 1, 0), range(400)))
    assert sorted(verdict.remaining[0] for verdict in verdicts if verdict.allowed) == list(range(100))


def test_no_server_is_a_backend_error(memcached):
    store = LimitsRateLimitStore(limits.storage.MemcachedStorage(f"memcached://127.0.0.1:{free_port()}"))
    with pytest.raises(BackendError, match="MemcachedStorage hit: ConnectionRefusedError") as caught:
        store.hit("k", quota("5/h", "fixed-window"), 1, 0)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
