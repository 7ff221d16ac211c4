"""The suite of rate limit stores is worth its name: each planted fault turns it red."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time

import pytest

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import MemoryRateLimitStore, Quota, Verdict
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.testing import RateLimitStoreSuite
from scalekit.testing._driver import Driver
from scalekit.testing._ratelimit_calls import Rule

ALL = [name for name in dir(RateLimitStoreSuite) if name.startswith("test_")]


def red(store, tests=ALL, suite_class=RateLimitStoreSuite):
    """Return the tests of the suite that fail on what `store` makes."""
    failed = set()
    for name in tests:
        suite = suite_class()
        with Driver() as suite._driver:
            suite._store = store()
            test = getattr(suite, name)
            cases = [(algorithm,) for algorithm in ALGORITHMS] if inspect.signature(test).parameters else [()]
            try:
                for case in cases:
                    test(*case)
            except (Exception, pytest.fail.Exception):
                failed.add(name)
    return failed


class Plain:
    """A store of the simplest kind, right unless a subclass plants a fault."""

    def __init__(self):
        self.logs = {}
        self.lock = threading.Lock()

    def log(self, key, quota):
        return self.logs.setdefault(key, Rule(quota))

    def hit(self, key, quota, cost, now, /):
        with self.lock:
            return self.log(key, quota).hit(quota, cost, now)

    def peek(self, key, quota, cost, now, /):
        with self.lock:
            return self.log(key, quota).peek(quota, cost, now)

    def refund(self, key, quota, cost, now, /):
        with self.lock:
            self.log(key, quota).refund(cost)

    def reset(self, key, /):
        with self.lock:
            self.logs.pop(key, None)


class Twin:
    """Any store as an async one."""

    def __init__(self, store):
        self._store = store

    async def hit(self, *args):
        return self._store.hit(*args)

    async def peek(self, *args):
        return self._store.peek(*args)

    async def refund(self, *args):
        return self._store.refund(*args)

    async def reset(self, *args):
        return self._store.reset(*args)


def widened(quota, by=0, times=1):
    from scalekit.ratelimit import Limit

    return Quota(Limit(limit.limit + by, limit.window * times, name=limit.name) for limit in quota.limits)


class AdmitsOneTooMany(Plain):
    def hit(self, key, quota, cost, now, /):
        return super().hit(key, widened(quota, by=1), cost, now)


class ConsumesOnDenial(Plain):
    """Limit after limit, as a loop over single hits does."""

    def hit(self, key, quota, cost, now, /):
        verdicts = []
        for i, limit in enumerate(quota.limits):
            verdicts.append(super().hit(f"{key}\0\0{i}", Quota([limit]), cost, now))
            if not verdicts[-1].allowed:
                break
        return Verdict(
            all(v.allowed for v in verdicts),
            *(tuple(x for v in verdicts for x in getattr(v, f)) for f in ("retry", "remaining", "reset")),
        )

    def peek(self, key, quota, cost, now, /):
        parts = [
            super(ConsumesOnDenial, self).peek(f"{key}\0\0{i}", Quota([limit]), cost, now)
            for i, limit in enumerate(quota.limits)
        ]
        return Verdict(
            all(v.allowed for v in parts),
            *(tuple(x for v in parts for x in getattr(v, f)) for f in ("retry", "remaining", "reset")),
        )


class ReadsThenWrites(Plain):
    """Reads the state, and writes it back later, as two round trips do."""

    def hit(self, key, quota, cost, now, /):
        log = self.log(key, quota)
        verdict = log.peek(quota, cost, now)
        if not verdict.allowed:
            return verdict
        time.sleep(0)
        return log.hit(widened(quota, by=1000), cost, now)


class Unlocked(Plain):
    """Atomic as long as no other thread runs meanwhile."""

    def __init__(self):
        super().__init__()
        self.lock = contextlib.nullcontext()


class ReadsThenWritesAsync(Twin):
    async def hit(self, key, quota, cost, now, /):
        verdict = self._store.peek(key, quota, cost, now)
        await asyncio.sleep(0)
        return self._store.hit(key, widened(quota, by=1000), cost, now) if verdict.allowed else verdict


class LosesRefunds(Plain):
    """Two refunds at once count as one."""

    def refund(self, key, quota, cost, now, /):
        log = self.log(key, quota)
        fewer = log._in_order()[:-cost]
        time.sleep(0)
        log._times, log._head = fewer, 0
        log._adopt(quota)


class NeverForgets(Plain):
    def hit(self, key, quota, cost, now, /):
        return super().hit(key, widened(quota, times=100), cost, now)

    def peek(self, key, quota, cost, now, /):
        return super().peek(key, widened(quota, times=100), cost, now)


class FixedWindow(Plain):
    """Forgets everything at the window's end instead of unit by unit."""

    def __init__(self):
        super().__init__()
        self.opened = {}

    def hit(self, key, quota, cost, now, /):
        if now - self.opened.setdefault(key, now) >= quota.longest:
            self.opened[key] = now
            self.reset(key)
        return super().hit(key, quota, cost, now)

    def peek(self, key, quota, cost, now, /):
        if now - self.opened.get(key, now) >= quota.longest:
            return Rule(quota).peek(quota, cost, now)
        return super().peek(key, quota, cost, now)


class FollowsTheClockBack(Plain):
    def hit(self, key, quota, cost, now, /):
        log = self.log(key, quota)
        if now < log._times[log._head - 1]:
            self.reset(key)
        return super().hit(key, quota, cost, now)


class DenialsPutItOff(Plain):
    """A denied hit counts, too: who keeps asking is never let in."""

    def hit(self, key, quota, cost, now, /):
        verdict = super().hit(key, quota, cost, now)
        if not verdict.allowed:
            log = self.log(key, quota)
            log._times[log._head] = now
            log._head = (log._head + 1) % len(log._times)
        return verdict


class PeekConsumes(Plain):
    def peek(self, key, quota, cost, now, /):
        return self.hit(key, quota, cost, now)


class RefundBanks(Plain):
    def __init__(self):
        super().__init__()
        self.banked = {}

    def refund(self, key, quota, cost, now, /):
        self.banked[key] = self.banked.get(key, 0) + cost

    def hit(self, key, quota, cost, now, /):
        return super().hit(key, widened(quota, by=self.banked.get(key, 0)), cost, now)


class RefundsTheOldest(Plain):
    def refund(self, key, quota, cost, now, /):
        log = self.log(key, quota)
        log._times, log._head = log._in_order()[cost:] or Rule(quota)._times, 0
        log._adopt(quota)


class ResetsAll(Plain):
    def reset(self, key, /):
        self.logs.clear()


class ResetsNone(Plain):
    def reset(self, key, /):
        pass


class NewPlanNewLife(Plain):
    def log(self, key, quota):
        return super().log(f"{key}{quota}", quota)


class StripsKeys(Plain):
    def log(self, key, quota):
        return super().log(key.strip(), quota)


class FoldsCase(Plain):
    def log(self, key, quota):
        return super().log(key.lower(), quota)


class CutsAtNul(Plain):
    def log(self, key, quota):
        return super().log(key.split("\0")[0], quota)


class CannotEncode(Plain):
    def log(self, key, quota):
        return super().log(key.encode(), quota)


class CutsLongKeys(Plain):
    def log(self, key, quota):
        return super().log(key[:250], quota)


class WaitsForCostsAboveTheLimit(Plain):
    def hit(self, key, quota, cost, now, /):
        verdict = super().hit(key, quota, cost, now)
        return Verdict(
            verdict.allowed, tuple(abs(w) for w in verdict.retry), verdict.remaining, verdict.reset
        )


class RoundsRetryUp(Plain):
    def hit(self, key, quota, cost, now, /):
        verdict = super().hit(key, quota, cost, now)
        retry = tuple(-(-w // 1000) * 1000 if w > 0 else w for w in verdict.retry)
        return Verdict(verdict.allowed, retry, verdict.remaining, verdict.reset)


class RemainingBefore(Plain):
    def hit(self, key, quota, cost, now, /):
        verdict = super().hit(key, quota, cost, now)
        left = tuple(n + cost for n in verdict.remaining) if verdict.allowed else verdict.remaining
        return Verdict(verdict.allowed, verdict.retry, left, verdict.reset)


PLANTED = [
    (AdmitsOneTooMany, "test_admits_exactly_the_limit"),
    (ConsumesOnDenial, "test_a_denial_consumes_nothing_from_any_limit"),
    (Unlocked, "test_concurrent_hits_admit_exactly_the_limit"),
    (ReadsThenWrites, "test_concurrent_hits_admit_exactly_the_limit"),
    (lambda: ReadsThenWritesAsync(Plain()), "test_concurrent_hits_admit_exactly_the_limit"),
    (LosesRefunds, "test_concurrent_refunds_lose_nothing"),
    (NeverForgets, "test_what_is_expired_is_forgotten"),
    (NeverForgets, "test_retry_is_the_first_moment_of_admission"),
    (FixedWindow, "test_the_window_slides"),
    (FollowsTheClockBack, "test_time_never_runs_backwards"),
    (DenialsPutItOff, "test_retry_is_the_first_moment_of_admission"),
    (PeekConsumes, "test_peek_foretells_and_consumes_nothing"),
    (RefundBanks, "test_a_refund_banks_nothing"),
    (RefundsTheOldest, "test_a_refund_takes_back_the_newest"),
    (ResetsAll, "test_reset_forgets_one_key"),
    (ResetsNone, "test_reset_forgets_one_key"),
    (NewPlanNewLife, "test_a_change_of_quota_keeps_what_was_consumed"),
    *((store, "test_keys_do_not_share_counts") for store in (StripsKeys, FoldsCase, CutsAtNul)),
    *((store, "test_keys_do_not_share_counts") for store in (CannotEncode, CutsLongKeys)),
    (WaitsForCostsAboveTheLimit, "test_a_cost_above_a_limit_is_denied_for_ever"),
    (RoundsRetryUp, "test_retry_is_the_first_moment_of_admission"),
    (RemainingBefore, "test_a_cost_is_consumed_whole_or_not_at_all"),
    (lambda: Twin(AdmitsOneTooMany()), "test_admits_exactly_the_limit"),
]


@pytest.mark.parametrize(("store", "test"), PLANTED)
def test_a_planted_fault_turns_it_red(store, test):
    assert red(store, [test]) == {test}


@pytest.mark.parametrize("store", [Plain, lambda: Twin(Plain()), MemoryRateLimitStore])
def test_a_right_store_is_green(store):
    assert red(store) == set()


class OneRuleForAll(Plain):
    def log(self, key, quota):
        return self.logs.setdefault(key, Rule(Quota(quota.limits, "sliding-log")))


def test_a_store_that_takes_any_algorithm_for_its_own_is_red():
    name = "test_any_history_agrees_with_the_rule"
    assert red(OneRuleForAll, [name]) == {name}


def test_a_store_has_to_refuse_what_it_does_not_know():
    class Fewer(RateLimitStoreSuite):
        algorithms = ("sliding-log",)

    name = "test_any_history_agrees_with_the_rule"
    assert red(Plain, [name], Fewer) == {name}


class ServesLess(RateLimitStoreSuite):
    several_limits = False
    refunds = False
    exact_remaining = False


class Refuses(Plain):
    """Right for a store that serves less, unless a subclass plants a fault."""

    def check(self, quota):
        if len(quota.limits) > 1:
            raise ConfigurationError("limits", quota.limits, "as a single one")

    def hit(self, key, quota, cost, now, /):
        self.check(quota)
        return super().hit(key, quota, cost, now)

    def peek(self, key, quota, cost, now, /):
        self.check(quota)
        return super().peek(key, quota, cost, now)

    def refund(self, key, quota, cost, now, /):
        raise ConfigurationError("store", self, "as one that takes units back")


class TakesSeveral(Refuses):
    def hit(self, key, quota, cost, now, /):
        return Plain.hit(self, key, quota, cost, now)


class PeeksAtSeveral(Refuses):
    def peek(self, key, quota, cost, now, /):
        return Plain.peek(self, key, quota, cost, now)


class IgnoresRefunds(Refuses):
    def refund(self, key, quota, cost, now, /):
        pass


class TellsWhatIsLeftLater(Refuses):
    """Judges in one step, and looks in another how much is left."""

    def hit(self, key, quota, cost, now, /):
        verdict = super().hit(key, quota, cost, now)
        time.sleep(0)
        left = self.peek(key, quota, cost, now).remaining
        return Verdict(verdict.allowed, verdict.retry, left, verdict.reset)


class AdmitsOneTooManyOfFew(Refuses):
    def hit(self, key, quota, cost, now, /):
        return super().hit(key, widened(quota, by=1), cost, now)


@pytest.mark.parametrize("store", [Plain, TakesSeveral, PeeksAtSeveral, IgnoresRefunds])
def test_what_is_not_served_has_to_be_refused(store):
    name = "test_what_is_not_served_is_refused"
    assert red(store, [name], ServesLess) == {name}


@pytest.mark.parametrize("store", [Refuses, lambda: Twin(Refuses()), TellsWhatIsLeftLater])
def test_a_store_that_serves_less_is_green(store):
    assert red(store, suite_class=ServesLess) == set()


def test_a_store_that_serves_less_is_held_to_what_it_serves():
    assert "test_concurrent_hits_admit_exactly_the_limit" in red(
        AdmitsOneTooManyOfFew, suite_class=ServesLess
    )


def test_a_store_that_tells_later_what_is_left_has_to_say_so():
    name = "test_concurrent_hits_admit_exactly_the_limit"
    assert red(TellsWhatIsLeftLater, [name], type("", (ServesLess,), {"exact_remaining": True})) == {name}


class TestWithAServersClock(RateLimitStoreSuite):
    """What a store on a server does: it has its own idea of time and ignores the caller's."""

    slack = 1_000

    @pytest.fixture
    def store(self):
        store = Plain()
        self.server = store.server = 5_000_000
        original = (store.hit, store.peek)
        store.hit = lambda key, quota, cost, now: original[0](key, quota, cost, self.tick())
        store.peek = lambda key, quota, cost, now: original[1](key, quota, cost, self.tick())
        return store

    def tick(self):
        self.server += 1
        return self.server

    def advance(self, microseconds):
        self.server += microseconds
        super().advance(microseconds)


def test_the_store_fixture_must_be_given():
    with pytest.raises(NotImplementedError, match="fixture named store"):
        RateLimitStoreSuite.store.__wrapped__(RateLimitStoreSuite())
