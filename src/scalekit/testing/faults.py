"""Stores that fail, dawdle or hang, for tests of what is built on them.

Each function wraps any store of any block and returns a stand-in of the same type for a type checker:
the same methods, async where the wrapped ones are. It is no `IndexedCacheStore`, whatever the store is: a
hit that is found without calling the store would bypass the fault. Nothing is random without a seed, and
nothing sleeps that was not asked to.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import random
import threading
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from scalekit._time import seconds
from scalekit.cache.protocols import IndexedCacheStore
from scalekit.errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalekit._time import Duration

__all__ = ["Gate", "flaky", "hung", "slow"]

StoreT = TypeVar("StoreT")
_BLOCKING_NOW = frozenset({"nonblocking"})
_INDEX = frozenset({"epoch", "pin", "renew"})


class Gate:
    """Where `hung` calls wait: in threads and in event loops, until `release()` lets all of them go on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = False
        self._waiting = 0
        self._futures: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many calls hang at this moment."""
        return self._waiting

    def release(self) -> None:
        """Let every waiting call go on, and every later one through. From any thread."""
        with self._condition:
            self._open = True
            futures, self._futures = self._futures, []
            self._condition.notify_all()
        for future in futures:
            future.get_loop().call_soon_threadsafe(_resolve, future)

    def wait_for_callers(self, count: int, *, timeout: Duration = 5.0) -> None:
        """Block until at least `count` calls hang.

        `TimeoutError` if they do not within `timeout`, by default 5 seconds.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("count", count, "as an integer >= 1")
        with self._condition:
            if not self._condition.wait_for(lambda: self._waiting >= count, seconds(timeout, "timeout")):
                raise TimeoutError(f"expected {count} hanging calls; got {self._waiting}")

    def _enter(self) -> None:
        self._waiting += 1
        self._condition.notify_all()

    def block(self) -> None:
        """Hang this thread until the release."""
        with self._condition:
            if not self._open:
                self._enter()
                try:
                    self._condition.wait_for(lambda: self._open)
                finally:
                    self._waiting -= 1

    async def suspend(self) -> None:
        """Hang this task until the release, or until it is cancelled."""
        with self._condition:
            if self._open:
                return
            future = asyncio.get_running_loop().create_future()
            self._futures.append(future)
            self._enter()
        try:
            await future
        finally:
            with self._condition:
                self._waiting -= 1


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def flaky(
    store: StoreT,
    *,
    fails: Sequence[bool] | None = None,
    rate: float | None = None,
    seed: int = 0,
    error: Callable[[], Exception] | None = None,
    when: Literal["before", "after"] = "before",
    only: Collection[str] | None = None,
) -> StoreT:
    """Return `store` with calls that fail.

    Which ones: `fails` says it for each call in turn and starts over at its end, or `rate` (0 to 1) of
    them at random, the same ones for the same `seed`. A failing call raises `error()`, by default a
    `BackendError`: `when="before"` it reaches the store, or `"after"` the store has done it and only the
    answer is lost. `only` names the methods meant, by default all public ones. Raises
    `ConfigurationError` unless exactly one of `fails` and `rate` is given, and for nonsense in any of them.
    """
    _check_store(store)
    if error is not None and not callable(error):  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigurationError("error", error, "as a callable that returns an exception")
    if when not in ("before", "after"):
        raise ConfigurationError("when", when, "as 'before' or 'after'")
    failing = _failing(fails, rate, seed)
    lock = threading.Lock()

    def check(name: str, moment: str) -> None:
        if moment == when:
            with lock:
                fails_now = next(failing)
            if fails_now:
                raise error() if error else BackendError(type(store).__name__, name, "injected fault")

    def wrap(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                check(name, "before")
                result = await method(*args, **kwargs)
                check(name, "after")
                return result

            return call_async

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            check(name, "before")
            result = method(*args, **kwargs)
            check(name, "after")
            return result

        return call

    return _stand_in("Flaky", store, wrap, only)


def slow(
    store: StoreT,
    delay: Duration,
    *,
    sleep: Callable[[float], Any] | None = None,
    only: Collection[str] | None = None,
) -> StoreT:
    """Return `store` with calls that take `delay` longer, before they reach it.

    `sleep` is how: by default `time.sleep` for plain methods and `asyncio.sleep` for async ones; a
    test passes its clock's `advance`. The stand-in is no longer `nonblocking`. `only`: as in `flaky`.
    """
    _check_store(store)
    pause = seconds(delay, "delay", allow_zero=True)
    if sleep is not None and not callable(sleep):  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigurationError("sleep", sleep, "as a callable that takes seconds")

    def wrap(_name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                slept = (sleep or asyncio.sleep)(pause)
                if inspect.isawaitable(slept):
                    await slept
                return await method(*args, **kwargs)

            return call_async

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            (sleep or time.sleep)(pause)
            return method(*args, **kwargs)

        return call

    return _stand_in("Slow", store, wrap, only, hidden=_BLOCKING_NOW)


def hung(store: StoreT, gate: Gate, *, only: Collection[str] | None = None) -> StoreT:
    """Return `store` with calls that hang until `gate.release()`, and then reach it.

    Plain methods hang their thread, async ones their task, which may be cancelled. The stand-in is no
    longer `nonblocking`. `only`: as in `flaky`.
    """
    _check_store(store)
    if not isinstance(gate, Gate):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("gate", gate, "as a Gate")

    def wrap(_name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                await gate.suspend()
                return await method(*args, **kwargs)

            return call_async

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            gate.block()
            return method(*args, **kwargs)

        return call

    return _stand_in("Hung", store, wrap, only, hidden=_BLOCKING_NOW)


def _check_store(store: object) -> None:
    # Whatever has methods may be a store, but no class and no plain value: even 5 has methods.
    if isinstance(store, type) or type(store).__module__ == "builtins":
        raise ConfigurationError("store", store, "as an object with the methods of a store")


def _failing(fails: Sequence[bool] | None, rate: float | None, seed: int) -> Iterator[bool]:
    """Return, for each call in turn, whether it fails."""
    if rate is None:
        if not (isinstance(fails, Sequence) and fails and all(isinstance(fail, bool) for fail in fails)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("fails", fails, "as a non-empty sequence of bools, or rate")
        return itertools.cycle(fails)
    if fails is not None:
        raise ConfigurationError("fails", fails, "or rate, and not both")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("rate", rate, "from 0 to 1")
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    return (dice.random() < rate for _ in itertools.count())


def _stand_in(
    kind: str,
    store: StoreT,
    wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]],
    only: Collection[str] | None,
    *,
    hidden: Collection[str] = (),
) -> StoreT:
    """Return an object with the attributes of `store` but `hidden` ones, its public methods wrapped.

    They are put into a class of its own, because `isinstance` against a runtime protocol looks at the
    class from Python 3.12 on, and `len()` and `with` do everywhere.
    """
    # Names alone do not tell: a store of leases may have a method `renew`, too.
    left_out = {*hidden, *(_INDEX if isinstance(store, IndexedCacheStore) else ())}
    public = {name for name in dir(store) if not name.startswith("_")} - left_out
    methods = {name for name in public if callable(getattr(store, name))}
    # Text is a collection as well, of letters.
    if only is not None and (isinstance(only, str) or not isinstance(only, Collection)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("only", only, "as a collection of names of methods, such as {'hit'}")
    unknown = [name for name in only or () if name not in sorted(methods)]
    if unknown:
        raise ConfigurationError("only", unknown, f"among {sorted(methods)}")
    chosen = methods if only is None else set(only)
    special = {name for name in dir(type(store)) if name.startswith("__")} - set(dir(type("", (), {})))
    namespace: dict[str, Any] = {name: _delegated(store, name) for name in public - chosen}
    namespace |= {name: staticmethod(wrap(name, getattr(store, name))) for name in chosen}
    namespace |= {name: _special(store, name) for name in special if callable(getattr(type(store), name))}
    return cast("StoreT", type(f"{kind}{type(store).__name__}", (), namespace)())


def _delegated(store: object, name: str) -> property:
    return property(lambda _: getattr(store, name), lambda _, value: setattr(store, name, value))


def _special(store: object, name: str) -> Callable[..., Any]:
    def call(_: object, *args: Any) -> Any:
        return getattr(store, name)(*args)

    return call
