"""The driver that runs one suite on sync and async stores."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading

import pytest

from scalekit.testing._driver import Driver


@pytest.fixture
def driver():
    with Driver() as driver:
        yield driver


async def add(one, other):
    await asyncio.sleep(0)
    return one + other


def test_a_plain_method_is_called_here_and_now(driver):
    assert driver(threading.get_ident) == threading.get_ident()
    assert driver(max, 1, 2) == 2
    assert driver(lambda: None) is None


def test_an_awaitable_is_awaited(driver):
    assert driver(add, 1, 2) == 3
    assert driver(functools.partial(add, 1), 2) == 3
    assert driver(lambda: add(1, 2)) == 3

    class Awaitable:
        def __await__(self):
            return (yield from add(1, 2).__await__())

    assert driver(Awaitable) == 3


def test_all_awaitables_share_one_loop_for_the_drivers_life(driver):
    async def loop():
        return asyncio.get_running_loop()

    first = driver(loop)
    assert driver(loop) is first
    assert set(driver.concurrently([loop] * 3)) == {first}
    with Driver() as other:
        assert other(loop) is not first


def test_the_loop_is_closed_and_its_tasks_cancelled_at_the_end():
    ended = []

    async def hang():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async def start():
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        return task

    with Driver() as driver:
        task = driver(start)
        assert not ended
    assert ended == [True]
    assert task.cancelled()
    assert task.get_loop().is_closed()


def test_errors_come_as_they_are(driver):
    async def fail():
        raise KeyError("async")

    with pytest.raises(KeyError, match="async"):
        driver(fail)
    with pytest.raises(ZeroDivisionError):
        driver(lambda: 1 / 0)


def test_plain_calls_run_at_the_same_time(driver):
    barrier = threading.Barrier(8, timeout=30)
    assert sorted(driver.concurrently([barrier.wait] * 8)) == list(range(8))


def test_coroutine_functions_run_at_the_same_time(driver):
    barrier = None

    async def wait(number):
        nonlocal barrier
        barrier = barrier or asyncio.Barrier(8)
        await asyncio.wait_for(barrier.wait(), 30)
        return number

    assert driver.concurrently([functools.partial(wait, number) for number in range(8)]) == list(range(8))


def returning(kind, value):
    async def call_async():
        return value

    return (lambda: value) if kind == "sync" else call_async


kinds = pytest.mark.parametrize("kind", ["sync", "async"])


@kinds
def test_results_come_in_the_order_of_the_calls(driver, kind):
    assert driver.concurrently([returning(kind, number) for number in range(20)]) == list(range(20))
    assert driver.concurrently([]) == []


@kinds
def test_an_error_that_is_a_result_is_no_failure(driver, kind):
    error = ValueError("a value")
    assert driver.concurrently([returning(kind, error), returning(kind, None)]) == [error, None]


@kinds
def test_the_first_error_is_raised_after_all_have_ended(driver, kind, caplog):
    ended = []
    may_end = threading.Event()

    def fail(number):
        ended.append(number)
        may_end.set()
        raise KeyError(number)

    def finish():
        assert may_end.wait(30)
        ended.append("last")

    async def fail_async(number):
        fail(number)

    async def finish_async():
        for _ in range(10):  # when the others have long failed
            await asyncio.sleep(0)
        finish()

    calls = {
        "sync": [functools.partial(fail, 1), functools.partial(fail, 2), finish],
        "async": [functools.partial(fail_async, 1), functools.partial(fail_async, 2), finish_async],
    }
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyError, match="1"):
        driver.concurrently(calls[kind])
    assert set(ended) == {1, 2, "last"}
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]
