# ruff: noqa: SLF001  # decisions are filled in by who makes them
# pyright: reportPrivateUsage=false
"""The rate limiter for asyncio; `_sync.py` is its twin.

A store within the process is called without `await`: that saves a coroutine per hit. Which kind a
store is shows in what it returns, a verdict or an awaitable of one; the constructor refuses the rest.
"""

from __future__ import annotations

import asyncio
import functools
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from scalekit.errors import BackendError, RateLimitExceeded
from scalekit.ratelimit._clocks import Clocks
from scalekit.ratelimit._decision import Decision, decided
from scalekit.ratelimit._denials import Denials, RememberedDecision
from scalekit.ratelimit._events import reports
from scalekit.ratelimit._fallback import Fallback
from scalekit.ratelimit._fitting import (
    async_fitting_function,
    async_fitting_store,
    fitting_callables,
    fitting_flag,
)
from scalekit.ratelimit._key import LONGEST_KEY, prefix_of, unusual_key
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._penalty import bans
from scalekit.ratelimit._plans import Plans, exemption
from scalekit.ratelimit._quota import Verdict, checked_cost
from scalekit.ratelimit._waiting import patience, pause
from scalekit.ratelimit.memory import MemoryRateLimitStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.ratelimit._fallback import OnError
    from scalekit.ratelimit._penalty import Penalty
    from scalekit.ratelimit._plans import Exempt, Plan
    from scalekit.ratelimit._quota import Algorithm
    from scalekit.ratelimit.protocols import AsyncRateLimitStore, NonblockingRateLimitStore

_ONE = 1  # the usual cost: identical to it, hence checked
P = ParamSpec("P")
R = TypeVar("R")


class AsyncRateLimiter:
    """Admits at most so many units per key, under several limits at once.

    `RateLimiter` for asyncio: its docstring says what the options mean. `store` is an async store, or one
    within the process that never blocks (default: a `MemoryRateLimitStore` of its own). `sleep` is awaited. A
    hit that is cancelled on its way to a server may or may not have consumed its cost. May be used from one
    event loop after another. Raises `ConfigurationError`, and `TypeError` for a store that would block the
    event loop.
    """

    def __init__(
        self,
        *limits: Plan | Callable[[str], Plan],
        store: AsyncRateLimitStore | NonblockingRateLimitStore | None = None,
        name: str = "default",
        algorithm: Algorithm = "sliding-window",
        on_error: OnError = "local",
        expected_processes: int = 1,
        shadow: bool = False,
        deny_cache: Duration | None = "1s",
        penalty: Penalty | None = None,
        exempt: Exempt | None = None,
        on_event: Hook | None = None,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._plans = Plans(limits, algorithm)
        self._fixed = self._plans.fixed
        local = MemoryRateLimitStore()
        self._store = async_fitting_store(local if store is None else store)
        self._fallback = Fallback(on_error, expected_processes, local)
        fitting_callables(sleep=sleep)
        prefix = prefix_of(name, algorithm)
        self._prefix = "" if store is None else prefix  # which a store of its own has no need of
        self._exempt = exemption(exempt)
        self._reports = reports(name, on_event)
        self._clocks = Clocks(clock, wall_clock)
        self._clock = clock
        self._monotonic = self._clocks.monotonic
        self._shadow = fitting_flag("shadow", shadow)
        self._bans = bans(penalty)
        # Each denial counts for a penalty and is what a shadow is for: then none is answered for the store.
        unused = shadow or penalty is not None
        self._denials = Denials(deny_cache, self._clocks, off=unused)
        self._denied = self._denials.kept
        self._sleep = sleep

    async def hit(self, key: str, cost: int = 1) -> Decision:  # noqa: C901, PLR0912  # a call takes 50 ns
        """Consume `cost` (default 1) units of `key` from every limit, or from none.

        The answer is in the decision: a denial is a value, not an error. A cost above a limit is a
        denial that no waiting cures (`retry_after` is `math.inf`). One call to the store.
        """
        if cost is not _ONE:
            cost = checked_cost(cost)
        if type(key) is str and len(key) <= LONGEST_KEY:
            stored = self._prefix + key
        else:
            stored = unusual_key(self._prefix, key)
        now = monotonic_ns() // 1000 if self._monotonic else round(self._clock() * MICROSECONDS)
        if self._exempt is not None and self._exempt(key):
            return self._exempted(key, cost, now)
        quota = self._fixed or self._plans.quota(key)
        denial = self._denied.get(stored)
        if (
            denial is not None
            and denial.at <= now < denial.until
            and cost == denial.cost
            and quota is denial.quota
        ):
            again = RememberedDecision()
            again._denial = denial
            again._at = now
            if self._reports is not None:
                self._reports.decided("hit", key, cost, again)
            return again
        banned = None if self._bans is None else self._bans.verdict(stored, quota, now)
        if banned is None:
            try:
                verdict = self._store.hit(stored, quota, cost, now)
                if not isinstance(verdict, Verdict):
                    verdict = await verdict
            except BackendError as error:
                if self._reports is not None:
                    self._reports.failed(key, error)
                verdict = self._fallback.hit(error, stored, quota, cost, now)
        else:
            verdict = banned
        if not verdict.allowed:
            self._denials.add(stored, quota, cost, now, verdict)
            if self._bans is not None:
                verdict = self._bans.judged(stored, quota, now, verdict)
        elif denial is not None:  # of a larger cost, which has to wait longer now
            self._denials.forget(stored)
        # As `decided` does, without its call.
        decision = Decision()
        decision.allowed = verdict.allowed or self._shadow
        decision._quota = quota
        decision._verdict = verdict
        decision._at = now
        decision._clocks = self._clocks
        if self._reports is not None:
            self._reports.decided("hit", key, cost, decision)
        return decision

    async def peek(self, key: str, *, cost: int = 1) -> Decision:
        """Return what `hit` would decide, with the units that remain now; consume nothing."""
        cost = checked_cost(cost)
        stored = unusual_key(self._prefix, key)
        now = self._clocks.now()
        if self._exempt is not None and self._exempt(key):
            quota = self._plans.exempt
            return decided(quota, quota.untouched, now, self._clocks)
        quota = self._plans.quota(key)
        banned = None if self._bans is None else self._bans.verdict(stored, quota, now)
        if banned is None:
            try:
                verdict = self._store.peek(stored, quota, cost, now)
                if not isinstance(verdict, Verdict):
                    verdict = await verdict
            except BackendError as error:
                if self._reports is not None:
                    self._reports.failed(key, error)
                verdict = self._fallback.peek(error, stored, quota, cost, now)
        else:
            verdict = banned
        decision = decided(quota, verdict, now, self._clocks)
        decision.allowed = verdict.allowed or self._shadow
        return decision

    async def refund(self, key: str, *, cost: int = 1) -> None:
        """Give back the `cost` units that `key` consumed last; more than it consumed is all of them.

        Right after a hit this undoes it under every limit. It never banks anything: no more than the
        limit is ever free. Units are alike, so a refund that comes late takes back the newest ones,
        not those of the hit you mean: those may then leave the window later than they would have,
        or (if younger hits came in between) up to `cost` units be free sooner, for one window. Of a
        key that is exempt now nothing is taken back.
        """
        cost = checked_cost(cost)
        stored = unusual_key(self._prefix, key)
        counted = self._exempt is None or not self._exempt(key)
        ended = "ok" if counted else "exempt"
        if counted:
            quota = self._plans.quota(key)
            now = self._clocks.now()
            try:
                if not self._fallback.refunded(stored, quota, cost, now):
                    await self._store.refund(stored, quota, cost, now)
            except BackendError as error:
                if self._reports is not None:
                    self._reports.failed(key, error)
                self._fallback.excuse(error)
                ended = "error"
            finally:
                self._denials.outdate(stored, self._clocks.now())
        if self._reports is not None:
            self._reports.done("refund", key, ended, cost)

    async def reset(self, key: str) -> None:
        """Forget all that `key` consumed: every limit is free again."""
        stored = unusual_key(self._prefix, key)
        ended = "ok"
        self._fallback.reset(stored)
        if self._bans is not None:
            self._bans.forget(stored)
        try:
            await self._store.reset(stored)
        except BackendError as error:
            if self._reports is not None:
                self._reports.failed(key, error)
            self._fallback.excuse(error)
            ended = "error"
        finally:
            self._denials.outdate(stored, self._clocks.now())
        if self._reports is not None:
            self._reports.done("reset", key, ended)

    async def acquire(self, key: str, *, cost: int = 1, timeout: Duration | None = None) -> Decision:  # noqa: ASYNC109
        """Wait until `cost` units of `key` are admitted, and consume them.

        Raises `RateLimitExceeded` as soon as it is clear that it will not be within `timeout` (default:
        no bound): at once if the cost is above a limit. Waits outside any lock, so that waiters on
        one key never delay another's. Waiters on one key are not queued: who asks first after room
        returns gets it. A waiter that gives up, or is cancelled while it waits, has consumed
        nothing.
        """
        budget = patience(timeout)
        started = self._clock()
        while True:
            decision = await self.hit(key, cost=cost)
            waited = self._clock() - started
            wait = pause(decision, waited, budget)
            if not wait:
                break
            await self._sleep(wait)
        if self._reports is not None:
            self._reports.decided("acquire", key, cost, decision, seconds=waited)
        if not decision.allowed:
            raise RateLimitExceeded(decision)
        return decision

    def limited(
        self, *, key: str | Callable[..., str], cost: int = 1
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate an async function so that each call is a hit, and `RateLimitExceeded` if it is denied.

        `key` is text, or a callable that gets the call's arguments and returns the key.
        """
        checked_cost(cost)
        if not isinstance(key, str):
            fitting_callables(key=key)

        def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            async_fitting_function(function)

            @functools.wraps(function)
            async def limited(*args: P.args, **kwargs: P.kwargs) -> R:
                decision = await self.hit(key(*args, **kwargs) if callable(key) else key, cost=cost)
                if not decision.allowed:
                    raise RateLimitExceeded(decision)
                return await function(*args, **kwargs)

            return limited

        return decorate

    def _exempted(self, key: str, cost: int, now: int) -> Decision:
        quota = self._plans.exempt
        decision = decided(quota, quota.untouched, now, self._clocks)
        if self._reports is not None:
            self._reports.decided("hit", key, cost, decision, counted=False)
        return decision
