"""Errors of limits' storages."""

from __future__ import annotations

import asyncio

import limits.aio.storage
import limits.storage
import pytest
from limits.errors import StorageError

from scalekit.errors import BackendError, BackendTimeout
from scalekit.ratelimit.limits import AsyncLimitsRateLimitStore, LimitsRateLimitStore
from tests.ratelimit.limits_storages import SERVED, Spare, on_async_redis, quota


class DriverTimeout(Exception):
    """Of a driver whose time-outs are no TimeoutError."""


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("raises", "expected"),
    [
        (KeyError("gone"), BackendError),
        (ConnectionRefusedError("nobody there"), BackendError),
        (RuntimeError("threads can only be started once"), BackendError),
        (TimeoutError("late"), BackendTimeout),
        (DriverTimeout("late"), BackendTimeout),
    ],
)
def test_an_error_of_the_storage_is_a_backend_error_caused_by_the_drivers(raises, expected, wrapped):
    storage = Spare(wrap_exceptions=wrapped)
    storage.raises = raises
    asked = quota("5/m", "fixed-window")
    with pytest.raises(expected, match=rf"^Spare hit: {type(raises).__name__}: ") as caught:
        LimitsRateLimitStore(storage).hit("k", asked, 1, 0)
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raises
    assert not isinstance(caught.value.__cause__, StorageError)
    with pytest.raises(expected, match=r"^Spare peek: "):
        LimitsRateLimitStore(storage).peek("k", asked, 1, 0)


@pytest.mark.parametrize("algorithm", SERVED)
def test_a_server_that_is_gone_is_a_backend_error(own_redis, algorithm):
    asked, url = quota("5/m", algorithm), own_redis.url
    store = LimitsRateLimitStore(limits.storage.RedisStorage(url))
    assert store.hit("k", asked, 1, 0).remaining == (4,)
    own_redis.kill()
    for call in (store.hit, store.peek):
        with pytest.raises(BackendError, match=r"^RedisStorage "):
            call("k", asked, 1, 0)
    with pytest.raises(BackendError, match=r"^RedisStorage reset: ConnectionError"):
        store.reset("k")


@on_async_redis
@pytest.mark.parametrize("algorithm", SERVED)
def test_so_it_is_for_tasks(own_redis, algorithm):
    asked, url = quota("5/m", algorithm), own_redis.url
    own_redis.kill()

    async def twin():
        storage = limits.aio.storage.RedisStorage(f"async+{url}", implementation="redispy")
        with pytest.raises(BackendError, match=r"^RedisStorage hit: ConnectionError"):
            await AsyncLimitsRateLimitStore(storage).hit("k", asked, 1, 0)

    asyncio.run(twin())
