from __future__ import annotations

import asyncio
import gc

import pytest

from scalekit.cache._settled import async_leasing
from scalekit.errors import BackendTimeout


class Leases:
    """A server that answers `acquire` when it is told to, whoever still waits for it."""

    def __init__(self):
        self.told = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.stopped = False

    async def acquire(self, key, owner, seconds, /):
        self.asked.set()
        try:
            return await self.told
        except asyncio.CancelledError:
            self.stopped = True
            raise

    async def release(self, key, owner, /): ...

    async def wait(self, key, seconds, /): ...

    read = begin = write = delete = invalidate = wait


async def asking(leases):
    task = asyncio.ensure_future(async_leasing(leases).acquire("key", b"me", 30))
    await leases.asked.wait()
    return task


def test_a_store_without_leases_has_none():
    assert async_leasing(object()) is None


def test_a_cancellation_waits_for_the_answer():
    async def main():
        task = await asking(leases := Leases())
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        leases.told.set_result(True)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not leases.stopped

    asyncio.run(main())


def test_a_second_cancellation_stops_the_command():
    async def main():
        task = await asking(leases := Leases())
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert leases.stopped

    asyncio.run(main())


def test_the_error_of_what_was_cancelled_is_nobody_s():
    async def main():
        unhandled = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        task = await asking(leases := Leases())
        task.cancel()
        await asyncio.sleep(0)
        leases.told.set_exception(BackendTimeout("redis", "acquire", "late"))
        with pytest.raises(asyncio.CancelledError):
            await task
        del task, leases
        gc.collect()
        await asyncio.sleep(0)
        assert unhandled == []

    asyncio.run(main())


def test_a_lease_that_fails_raises_as_the_store_does():
    async def main():
        task = await asking(leases := Leases())
        leases.told.set_exception(error := BackendTimeout("redis", "acquire", "late"))
        with pytest.raises(BackendTimeout) as raised:
            await task
        assert raised.value is error

    asyncio.run(main())
