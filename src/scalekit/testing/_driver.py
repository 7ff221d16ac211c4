"""One way to call a store, whether its methods return values or awaitables."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from types import TracebackType
    from typing import Self


class Driver:
    """Runs a store's methods from plain test functions, so that one suite serves sync and async stores.

    A context manager that owns one event loop for its lifetime, since an async store may keep
    connections of the loop it was first used from.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Return the driver; its event loop is made when the first awaitable needs it."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close the event loop, cancelling what still runs on it."""
        self._runner.close()

    def __call__(self, method: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Call `method` and return its result, awaited where it is awaitable."""
        result = method(*args, **options)
        return self._runner.run(_awaited(result)) if inspect.isawaitable(result) else result

    def concurrently(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run `calls` at the same time (tasks for coroutine functions, else threads); results in order.

        The first error is raised, after all have ended.
        """
        if calls and inspect.iscoroutinefunction(calls[0]):
            results: list[Any] = self._runner.run(_gathered([call() for call in calls]))
            return results
        with ThreadPoolExecutor(len(calls) or 1) as pool:
            futures = [pool.submit(call) for call in calls]
        return [future.result() for future in futures]


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _gathered(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await asyncio.gather(*tasks, return_exceptions=True)  # all end, and no error is "never retrieved"
    return [task.result() for task in tasks]
