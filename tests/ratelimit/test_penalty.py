"""Who keeps violating is banned, longer each time; and a shadow refuses nobody."""

from __future__ import annotations

import contextlib
import math
import pickle
import threading

import pytest

from scalekit.errors import ConfigurationError, RateLimitExceeded
from scalekit.ratelimit import AsyncRateLimiter, Limit, MemoryRateLimitStore, Penalty, Quota, RateLimiter
from scalekit.ratelimit._penalty import Bans
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.ratelimit.stores import AwaitedMemoryStore, breakable

MINUTE = 60.0


class Face:
    def __init__(self, make, store, driver, *limits, **options):
        self.store = breakable(store)()
        self.clock = ManualClock()
        self.events = []
        options |= {"store": self.store, "clock": self.clock, "on_event": self.events.append}
        self.limiter = make(*limits, **options)
        self.driver = driver

    def __getattr__(self, method):
        return lambda *args, **options: self.driver(getattr(self.limiter, method), *args, **options)

    def denials(self, number, key="k"):
        """Hit until that many hits are denied; return the last decision."""
        while number:
            decision = self.hit(key)
            number -= not decision.allowed
        return decision


@pytest.fixture(params=["sync", "async"])
def face(request):
    make, store = {
        "sync": (RateLimiter, MemoryRateLimitStore),
        "async": (AsyncRateLimiter, AwaitedMemoryStore),
    }[request.param]
    with Driver() as driver:
        yield lambda *limits, **options: Face(make, store, driver, *limits, **options)


# -- bans ------------------------------------------------------------------------------------------


def test_the_third_denial_is_a_ban(face):
    one = face("1/s", penalty=Penalty(after=3, within="1h", ban="15m"))
    assert not one.denials(2).banned
    banned = one.hit("k")
    assert (banned.allowed, banned.banned, banned.retry_after) == (False, True, 15 * MINUTE)
    one.clock.advance(14 * MINUTE)
    assert one.hit("k").retry_after == MINUTE
    assert one.peek("k").banned
    assert one.hit("other").allowed
    one.clock.advance(MINUTE)
    assert one.hit("k").allowed


def test_what_a_banned_client_is_told(face):
    one = face("1/s", penalty=Penalty(after=1, ban="15m"))
    decision = one.denials(1)
    assert decision.violated == ()
    assert decision.headers("both") == {"RateLimit-Policy": '"1/s";q=1;w=1', "Retry-After": "900"}
    problem = decision.problem()
    assert (problem["status"], problem["type"].rpartition("#")[2]) == (429, "abnormal-usage-detected")
    carried = pickle.loads(pickle.dumps(decision))
    assert (carried.banned, carried.problem()) == (True, problem)
    with pytest.raises(RateLimitExceeded):
        one.acquire("k", timeout="1m")


def test_each_ban_is_longer_up_to_the_longest(face):
    one = face("1/s", penalty=Penalty(after=1, within="1h", ban="10m", factor=3, max_ban="1h"))
    lengths = []
    for _ in range(4):
        lengths.append(one.denials(1).retry_after / MINUTE)
        one.clock.advance(lengths[-1] * MINUTE)
    assert lengths == [10, 30, 60, 60]


def test_hits_during_a_ban_do_not_make_it_longer_and_ask_no_store(face):
    one = face("1/s", penalty=Penalty(after=1, ban="10m"), on_error="raise")
    one.denials(1)
    one.store.broken = True
    one.clock.advance(5 * MINUTE)
    assert one.hit("k").retry_after == 5 * MINUTE
    one.store.broken = False
    one.clock.advance(5 * MINUTE)
    assert one.hit("k").allowed


def test_who_behaves_begins_anew(face):
    one = face("1/s", penalty=Penalty(after=1, within="1h", ban="10m"))
    one.denials(1)
    one.clock.advance(10 * MINUTE + 3_599)
    assert one.denials(1).retry_after == 20 * MINUTE
    one.clock.advance(20 * MINUTE + 3_600)
    assert one.denials(1).retry_after == 10 * MINUTE


def test_denials_long_ago_do_not_count(face):
    one = face("1/m", penalty=Penalty(after=2, within="1h"))
    one.denials(1)
    one.clock.advance(3_600)
    assert not one.denials(1).banned
    one.clock.advance(3_599)
    assert one.denials(1).banned


@pytest.mark.parametrize(("last", "banned"), [(3_599, True), (3_600, False), (3_700, False)])
def test_each_denial_counts_for_as_long_as_was_said(face, last, banned):
    one = face("1/s", penalty=Penalty(after=3, within="1h"))
    for wait in (0, 1_800, last - 1_800):
        one.clock.advance(wait)
        decision = one.denials(1)
    assert decision.banned is banned


def test_after_a_ban_the_denials_count_anew(face):
    one = face("1/s", penalty=Penalty(after=2, within="1h", ban="10m"))
    one.denials(2)
    one.clock.advance(10 * MINUTE)
    assert not one.denials(1).banned
    assert one.denials(1).retry_after == 20 * MINUTE


def test_a_reset_lifts_the_ban_and_forgets(face):
    one = face("1/s", penalty=Penalty(after=1, ban="10m"))
    one.denials(1)
    one.reset("k")
    assert one.hit("k").allowed
    assert one.denials(1).retry_after == 10 * MINUTE


def test_the_exempt_are_never_banned(face):
    one = face("1/s", penalty=Penalty(after=1), exempt={"k"})
    assert all(one.hit("k").allowed for _ in range(9))


@pytest.mark.parametrize("mode", ["closed", "local"])
def test_a_failure_of_the_store_is_no_violation(face, mode):
    one = face("9/s", penalty=Penalty(after=1), on_error=mode, expected_processes=9)
    one.store.broken = True
    assert not [one.hit("k") for _ in range(3)][-1].allowed
    one.store.broken = False
    assert one.hit("k").allowed


def test_threads_that_are_denied_at_once_do_not_lose_a_ban():
    """Between taking an offender out and putting it back nobody may come."""

    class Slow(dict):
        def pop(self, *args):
            found = super().pop(*args)
            barrier.wait(0.2)
            return found

    barrier, quota = threading.Barrier(2), Quota([Limit(1, "1s")])
    bans = Bans(Penalty(after=2, ban="1h"))
    bans.judged("k", quota, 0, quota.untouched)
    bans.offenders = Slow(bans.offenders)

    def denied():
        with contextlib.suppress(threading.BrokenBarrierError):
            bans.judged("k", quota, 1, quota.untouched)

    threads = [threading.Thread(target=denied) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert barrier.broken, "the two were in there together"


def test_its_memory_is_bounded_and_a_flood_lifts_no_ban_of_its_neighbours():
    bans, quota = Bans(Penalty(after=2, ban="1h")), Quota([Limit(1, "1s")])
    denied = quota.untouched
    for _ in range(2):
        bans.judged("banned", quota, 0, denied)
    for number in range(70_000):
        bans.judged(str(number), quota, 1, denied)
    assert len(bans.offenders) == 65_536
    assert bans.verdict("banned", quota, 1) is not None


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("after", 0), ("after", True), ("after", 1.5), ("within", 0), ("within", "soon"), ("ban", -1)),
        *(("factor", 0.5), ("factor", math.nan), ("factor", "2"), ("max_ban", "1m"), ("max_ban", "x")),
    ],
)
def test_a_penalty_of_nonsense_is_refused(parameter, value):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got "):
        Penalty(**{parameter: value})


def test_a_penalty_shows_what_it_is():
    assert repr(Penalty()) == "Penalty(after=3, ban=900.0, factor=2, max_ban=86400.0, within=3600.0)"


# -- shadow ----------------------------------------------------------------------------------------


def test_a_shadow_refuses_nothing_and_tells_what_it_would(face):
    one = face("2/m", shadow=True)
    decisions = [one.hit("k") for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True] * 4
    assert [decision.shadowed for decision in decisions] == [False, False, True, True]
    shadowed = decisions[-1]
    assert [str(limit) for limit in shadowed.violated] == ["2/m"]
    assert (shadowed.retry_after, shadowed.remaining) == (0.0, 0)
    assert "Retry-After" not in shadowed.headers("both")
    with pytest.raises(ConfigurationError, match="denial"):
        shadowed.problem()
    assert pickle.loads(pickle.dumps(shadowed)).shadowed
    assert one.peek("k").shadowed
    assert [event.outcome for event in one.events] == ["allowed"] * 2 + ["shadowed"] * 2


def test_a_shadow_consumes_as_the_limiter_would(face):
    one, other = face("3/m", shadow=True), face("3/m")
    for _ in range(20):
        one.clock.advance(11)
        other.clock.advance(11)
        mine, theirs = one.hit("k", cost=2), other.hit("k", cost=2)
        assert mine.shadowed is not theirs.allowed
        assert not theirs.shadowed
        assert mine.states == theirs.states


def test_a_shadow_holds_nobody_up(face):
    one = face("1/h", shadow=True)
    one.hit("k")
    assert one.acquire("k", timeout=0).shadowed
    assert one.hit("k", cost=2).allowed


def test_a_shadow_bans_nobody_but_tells(face):
    one = face("1/s", shadow=True, penalty=Penalty(after=1))
    one.hit("k")
    decision = one.hit("k")
    assert (decision.allowed, decision.shadowed, decision.banned) == (True, True, True)


def test_a_shadow_of_a_store_that_fails_refuses_nothing(face):
    one = face("1/s", shadow=True, on_error="closed")
    one.store.broken = True
    decision = one.hit("k")
    assert (decision.allowed, decision.degraded) == (True, True)


@pytest.mark.parametrize("make", [RateLimiter, AsyncRateLimiter])
@pytest.mark.parametrize(
    ("parameter", "value"), [("shadow", 1), ("shadow", None), ("penalty", "1h"), ("penalty", 3)]
)
def test_nonsense_is_refused(make, parameter, value):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got "):
        make("1/s", **{parameter: value})
