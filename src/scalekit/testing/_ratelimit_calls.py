"""How the suite of rate limit stores speaks to a store, sync or async, and lets time pass for it."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from scalekit.ratelimit._limit import MICROSECONDS, Limit
from scalekit.ratelimit._quota import ALGORITHMS, Quota, Verdict
from scalekit.ratelimit._state import OtherRule, fresh, succeeding
from scalekit.testing._driver import Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalekit.ratelimit._quota import Algorithm

START = 1_000_000_000_000  # microseconds
_WORKERS = 8
_fresh = count()


class RateLimitStoreCalls:
    """The store under test, the clock it is told, and each method of it as a plain call."""

    slack: ClassVar[int] = 0
    window: ClassVar[int] = 1_000_000
    several_limits: ClassVar[bool] = True

    _driver: Driver
    _store: Any
    _now: int = START

    @pytest.fixture
    def store(self) -> Any:
        """Return the store under test; override it."""
        raise NotImplementedError("a RateLimitStoreSuite needs a fixture named store")

    @pytest.fixture(autouse=True)
    def _running(self, store: Any) -> Iterator[None]:
        with Driver() as self._driver:
            self._store = store
            yield

    def advance(self, microseconds: int) -> None:
        """Let time pass for the store. Where it is a server's time: wait, and then call this, too."""
        self._now += microseconds

    def _key(self) -> str:
        return f"suite:{next(_fresh)}"

    def _hit(self, key: str, quota: Quota, cost: int = 1) -> Verdict:
        verdict: Verdict = self._driver(self._store.hit, key, quota, cost, self._now)
        return verdict

    def _peek(self, key: str, quota: Quota, cost: int = 1) -> Verdict:
        verdict: Verdict = self._driver(self._store.peek, key, quota, cost, self._now)
        return verdict

    def _refund(self, key: str, quota: Quota, cost: int = 1) -> None:
        self._driver(self._store.refund, key, quota, cost, self._now)

    def _together(self, calls: int, method: str, *args: Any) -> list[Any]:
        """Call a method of the store many times at once and return the answers."""
        bound: Callable[..., Any] = getattr(self._store, method)

        async def in_task() -> list[Any]:
            return [await bound(*args) for _ in range(calls)]

        together = threading.Barrier(_WORKERS)  # else the first is done before the last has started

        def in_thread() -> list[Any]:
            together.wait()
            return [bound(*args) for _ in range(calls)]

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # a race of a few bytecodes needs thousands of switches to show
        try:
            worker = in_task if inspect.iscoroutinefunction(bound) else in_thread
            answers = self._driver.concurrently([worker] * _WORKERS)
        finally:
            sys.setswitchinterval(interval)
        return [answer for part in answers for answer in part]

    def _quota(self, *spans: tuple[int, int]) -> Quota:
        """Return a quota of limits in (units, microseconds); of the first, where only one is served."""
        return Quota([limit(*span) for span in (spans if self.several_limits else spans[:1])])

    def _near(self, actual: int, expected: int) -> bool:
        return abs(actual - expected) <= self.slack


def limit(units: int, microseconds: int) -> Limit:
    """Return a limit whose window is given in microseconds."""
    return Limit(units, microseconds / MICROSECONDS)


def quota_of(units: int, microseconds: int, algorithm: Algorithm = ALGORITHMS[0]) -> Quota:
    """Return a quota of one limit."""
    return Quota([limit(units, microseconds)], algorithm)


class Rule:
    """The rule of an algorithm for one key: what a store must answer."""

    def __init__(self, quota: Quota) -> None:
        self._state = fresh(quota)

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return the verdict, having consumed the cost if it was admitted."""
        try:
            return self._state.hit(quota, cost, now)
        except OtherRule:
            other = succeeding(self._state)
            verdict = other.hit(quota, cost, now)
            if verdict.allowed:
                self._state = other
            return verdict

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told."""
        try:
            return self._state.peek(quota, cost, now)
        except OtherRule:
            return succeeding(self._state).peek(quota, cost, now)

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units."""
        self._state.refund(cost)

    def clear(self) -> None:
        """Forget everything."""
        self._state.clear()


class YieldingQuota(Quota):
    """A quota that lets other threads run whenever it is looked at, as it is in the midst of a hit.

    A store within the process that is not atomic would otherwise show it once in a thousand runs.
    """

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        """Give way, then return the attribute."""
        time.sleep(0)
        return super().__getattribute__(name)
