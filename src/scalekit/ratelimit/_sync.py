# ruff: noqa: SLF001  # decisions are filled in by who makes them
# pyright: reportPrivateUsage=false
"""The rate limiter for threads; `_async.py` is its twin."""

from __future__ import annotations

import functools
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from scalekit.errors import BackendError, RateLimitExceeded
from scalekit.ratelimit._clocks import Clocks
from scalekit.ratelimit._decision import Decision, decided
from scalekit.ratelimit._denials import Denials, RememberedDecision
from scalekit.ratelimit._events import reports
from scalekit.ratelimit._fallback import Fallback
from scalekit.ratelimit._fitting import fitting_callables, fitting_flag, fitting_function, fitting_store
from scalekit.ratelimit._key import LONGEST_KEY, prefix_of, unusual_key
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._penalty import bans
from scalekit.ratelimit._plans import Plans, exemption
from scalekit.ratelimit._quota import checked_cost
from scalekit.ratelimit._waiting import patience, pause
from scalekit.ratelimit.memory import MemoryRateLimitStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.ratelimit._fallback import OnError
    from scalekit.ratelimit._penalty import Penalty
    from scalekit.ratelimit._plans import Exempt, Plan
    from scalekit.ratelimit._quota import Algorithm
    from scalekit.ratelimit.protocols import RateLimitStore

_ONE = 1  # the usual cost: identical to it, hence checked
P = ParamSpec("P")
R = TypeVar("R")


class RateLimiter:
    """Admits at most so many units per key, under several limits at once.

    `limits`: text ("10/s", "10/s; 100/15m"), `Limit`s, a list of them, or one callable that returns such a
    plan for a key. All of them hold: a hit is admitted by all, and consumes from all, or from none.

    `algorithm` is the rule. "sliding-window" (default) and "sliding-log" never admit more than `limit` units
    in any `window`, wherever it starts. "sliding-log" remembers each unit's time, 8 bytes per unit of the
    limit. "sliding-window" does so up to 512 units; a larger limit takes some 600 bytes, and a unit comes
    back up to a 192nd of the window late (0.5 % of legal traffic is lost). The others take a few numbers and
    may admit up to twice the limit in a window: "sliding-counter" when hits come unevenly, "gcra" and
    "token-bucket" (one rule: units come back one at a time) after a rest, "fixed-window" around the
    multiples of the window.

    `store` keeps the counts (default: a `MemoryRateLimitStore` of its own). `name` separates limiters that
    share a store; two of the same name share their counts.

    `on_error` is what happens when the store raises `BackendError`. "local" (default): a store within the
    process counts, from nothing, by the limits divided by `expected_processes` (default 1: all of it). "open"
    admits everything. "closed" denies everything, which is no fault of the caller's: `decision.violated` is
    empty, `problem()` a 503. In these three `decision.degraded` is True, and a refund or reset that fails is
    but an event. "raise" raises. The next call asks the store again.

    `deny_cache` (default "1s", None for off) is how long at most a denied key is denied again, for the same
    cost, without asking the store: until the moment that it told, which only a refund or reset elsewhere
    could bring forward. `remaining` is then that of the first denial. Off under a `penalty` or `shadow`.

    `penalty` (default None) bans a key that is denied too often, for this limiter in this process.
    `shadow` (default False) decides and reports all the same, but refuses nothing: `decision.shadowed` and
    the event's outcome "shadowed" tell what would have been denied, which has consumed nothing.

    `exempt`, a predicate or a container of keys, names those who are always admitted and never counted: a
    decision then speaks of one limit named "exempt", of 999,999,999,999,999 units, all left. What a callable
    raises reaches the caller. `clock` is what the windows go by; a store on a server uses the server's.
    `wall_clock` gives epoch seconds, for `X-RateLimit-Reset`. `sleep` is how `acquire` waits. Safe to share
    between threads. Raises `ConfigurationError`, and `TypeError` for an async store.
    """

    def __init__(
        self,
        *limits: Plan | Callable[[str], Plan],
        store: RateLimitStore | None = None,
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
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._plans = Plans(limits, algorithm)
        self._fixed = self._plans.fixed
        local = MemoryRateLimitStore()
        self._store = fitting_store(local if store is None else store)
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

    def hit(self, key: str, cost: int = 1) -> Decision:  # noqa: C901, PLR0912  # a call takes 50 ns
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

    def peek(self, key: str, *, cost: int = 1) -> Decision:
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
            except BackendError as error:
                if self._reports is not None:
                    self._reports.failed(key, error)
                verdict = self._fallback.peek(error, stored, quota, cost, now)
        else:
            verdict = banned
        decision = decided(quota, verdict, now, self._clocks)
        decision.allowed = verdict.allowed or self._shadow
        return decision

    def refund(self, key: str, *, cost: int = 1) -> None:
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
                    self._store.refund(stored, quota, cost, now)
            except BackendError as error:
                if self._reports is not None:
                    self._reports.failed(key, error)
                self._fallback.excuse(error)
                ended = "error"
            finally:
                self._denials.outdate(stored, self._clocks.now())
        if self._reports is not None:
            self._reports.done("refund", key, ended, cost)

    def reset(self, key: str) -> None:
        """Forget all that `key` consumed: every limit is free again."""
        stored = unusual_key(self._prefix, key)
        ended = "ok"
        self._fallback.reset(stored)
        if self._bans is not None:
            self._bans.forget(stored)
        try:
            self._store.reset(stored)
        except BackendError as error:
            if self._reports is not None:
                self._reports.failed(key, error)
            self._fallback.excuse(error)
            ended = "error"
        finally:
            self._denials.outdate(stored, self._clocks.now())
        if self._reports is not None:
            self._reports.done("reset", key, ended)

    def acquire(self, key: str, *, cost: int = 1, timeout: Duration | None = None) -> Decision:
        """Wait until `cost` units of `key` are admitted, and consume them.

        Raises `RateLimitExceeded` as soon as it is clear that it will not be within `timeout` (default:
        no bound): at once if the cost is above a limit. Waits outside any lock, so that waiters on
        one key never delay another's. Waiters on one key are not queued: who asks first after room
        returns gets it. A waiter that gives up, or is interrupted, has consumed nothing.
        """
        budget = patience(timeout)
        started = self._clock()
        while True:
            decision = self.hit(key, cost=cost)
            waited = self._clock() - started
            wait = pause(decision, waited, budget)
            if not wait:
                break
            self._sleep(wait)
        if self._reports is not None:
            self._reports.decided("acquire", key, cost, decision, seconds=waited)
        if not decision.allowed:
            raise RateLimitExceeded(decision)
        return decision

    def limited(
        self, *, key: str | Callable[..., str], cost: int = 1
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function so that each call is a hit, and `RateLimitExceeded` if it is denied.

        `key` is text, or a callable that gets the call's arguments and returns the key.
        """
        checked_cost(cost)
        if not isinstance(key, str):
            fitting_callables(key=key)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            fitting_function(function)

            @functools.wraps(function)
            def limited(*args: P.args, **kwargs: P.kwargs) -> R:
                decision = self.hit(key(*args, **kwargs) if callable(key) else key, cost=cost)
                if not decision.allowed:
                    raise RateLimitExceeded(decision)
                return function(*args, **kwargs)

            return limited

        return decorate

    def _exempted(self, key: str, cost: int, now: int) -> Decision:
        quota = self._plans.exempt
        decision = decided(quota, quota.untouched, now, self._clocks)
        if self._reports is not None:
            self._reports.decided("hit", key, cost, decision, counted=False)
        return decision
