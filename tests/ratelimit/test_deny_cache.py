"""A denied key is denied again without asking the store, exactly as long as the store would deny it."""

from __future__ import annotations

import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import AsyncRateLimiter, Limit, MemoryRateLimitStore, Quota, RateLimiter, Verdict
from scalekit.ratelimit._denials import Denials
from scalekit.ratelimit._fallback import Blind, StandIn
from scalekit.ratelimit.redis import RedisRateLimitStore
from scalekit.redis import RedisLink
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.ratelimit.stores import AwaitedMemoryStore, breakable


def counting(base):
    """Return a store class like `base` that counts its hits."""

    def hit(self, *args):
        self.hits += 1
        return base.hit(self, *args)

    async def async_hit(self, *args):
        self.hits += 1
        return await base.hit(self, *args)

    return type("Counting", (base,), {"hit": async_hit if base is AwaitedMemoryStore else hit, "hits": 0})


class Face:
    def __init__(self, make, base, driver, *limits, **options):
        self.store = counting(base)()
        self.clock = ManualClock()
        self.limiter = make(*limits, store=self.store, clock=self.clock, **options)
        self.driver = driver

    def __getattr__(self, method):
        return lambda *args, **options: self.driver(getattr(self.limiter, method), *args, **options)


@pytest.fixture(params=["sync", "async", "async, in memory"])
def face(request):
    make, base = {
        "sync": (RateLimiter, MemoryRateLimitStore),
        "async": (AsyncRateLimiter, AwaitedMemoryStore),
        "async, in memory": (AsyncRateLimiter, MemoryRateLimitStore),
    }[request.param]
    with Driver() as driver:
        yield lambda *limits, **options: Face(make, base, driver, *limits, **options)


def test_a_denied_key_is_not_asked_about_again(face):
    one = face("2/s")
    one.hit("k", cost=2)
    decisions = [one.hit("k") for _ in range(5)]
    assert not any(decisions)
    assert one.store.hits == 2, "of a hit and a denial"
    assert one.hit("other").allowed


def test_what_it_answers_is_what_the_store_would(face):
    one, other = face("3/s", "5/m"), face("3/s", "5/m", deny_cache=None)
    for step in (0, 0.25, 0.25, 0.125, 0.125, 0.2, 0.05):
        one.clock.advance(step)
        other.clock.advance(step)
        mine, theirs = one.hit("k", cost=2), other.hit("k", cost=2)
        assert (mine.allowed, mine.retry_after, mine.reset_after) == (
            theirs.allowed,
            theirs.retry_after,
            theirs.reset_after,
        )
        assert (mine.limit, mine.violated, mine.states) == (theirs.limit, theirs.violated, theirs.states)
        assert mine.headers("ietf") == theirs.headers("ietf")
        if not mine:
            assert mine.problem() == theirs.problem()
            assert repr(mine) == repr(theirs)
    assert one.store.hits < other.store.hits


@given(
    st.lists(st.tuples(st.integers(0, 700_000), st.integers(1, 4)), min_size=5, max_size=40),
    st.sampled_from(["sliding-window", "sliding-counter", "gcra", "fixed-window"]),
)
def test_no_history_shows_it(steps, algorithm):
    clock = ManualClock()
    limits = ("2/s", "5/4s")
    cached = RateLimiter(*limits, algorithm=algorithm, clock=clock)
    asked = RateLimiter(*limits, algorithm=algorithm, clock=clock, deny_cache=None)
    for microseconds, cost in steps:
        clock.advance(microseconds / 1e6)
        mine, theirs = cached.hit("k", cost), asked.hit("k", cost)
        assert (mine.allowed, mine.retry_after) == (theirs.allowed, theirs.retry_after)


def test_it_ends_to_the_microsecond(face):
    one = face("1/500ms")
    one.hit("k")
    one.clock.advance(0.1)
    assert one.hit("k").retry_after == 0.4
    one.clock.advance(0.399_999)
    assert one.hit("k").retry_after == 0.000_001
    assert one.store.hits == 2
    one.clock.advance(0.000_001)
    assert one.hit("k").allowed


def test_it_does_not_outlive_its_bound(face):
    one = face("1/m", deny_cache="250ms")
    one.hit("k")
    one.hit("k")
    one.driver(one.store.reset, "default:k")
    one.clock.advance(0.249)
    assert not one.hit("k").allowed
    one.clock.advance(0.001)
    assert one.hit("k").allowed, "somebody else had reset it"


@pytest.mark.parametrize("method", ["refund", "reset"])
def test_what_this_limiter_frees_it_knows(face, method):
    one = face("1/m")
    one.hit("k")
    assert not one.hit("k").allowed
    getattr(one, method)("k")
    assert one.hit("k").allowed


@pytest.mark.parametrize("method", ["refund", "reset"])
def test_a_denial_that_was_on_its_way_while_units_were_freed_is_not_kept(method):
    """The race of a cache with an invalidation: asked, freed, answered."""

    class Overtaken(MemoryRateLimitStore):
        meanwhile = None

        def hit(self, *args):
            verdict = super().hit(*args)
            if self.meanwhile:
                self.meanwhile, meanwhile = None, self.meanwhile
                meanwhile()
            return verdict

    store, clock = Overtaken(), ManualClock()
    limiter = RateLimiter("1/m", store=store, clock=clock)
    limiter.hit("k")
    store.meanwhile = lambda: (clock.advance(0.001), getattr(limiter, method)("k"))
    assert not limiter.hit("k").allowed
    assert limiter.hit("k").allowed


def test_another_cost_is_asked_about(face):
    one = face("3/m")
    one.hit("k", cost=2)
    assert not one.hit("k", cost=2).allowed
    assert not one.hit("k", cost=3).allowed
    assert one.hit("k", cost=1).allowed


def test_a_new_plan_is_asked_about(face):
    plans = {"k": "1/m"}
    one = face(plans.get)
    one.hit("k")
    assert not one.hit("k").allowed
    plans["k"] = "2/m"
    assert one.hit("k").allowed


def test_peek_asks_the_store(face):
    one = face("1/m")
    one.hit("k")
    one.hit("k")
    one.driver(one.store.reset, "default:k")
    assert one.peek("k").allowed


def test_a_cost_above_the_limit_is_not_kept(face):
    one = face("1/m")
    assert one.hit("k", cost=2).retry_after == math.inf
    assert one.hit("k").allowed


def test_a_clock_that_went_back_asks_the_store(face):
    one = face("1/s")
    one.clock.advance(10)
    one.hit("k")
    assert not one.hit("k").allowed
    one.limiter._clock = one.limiter._clocks.clock = lambda: 5.0
    assert not one.hit("k").allowed
    assert one.store.hits == 3


def test_it_can_be_carried_elsewhere(face):
    one = face("1/m", wall_clock=lambda: 1_700_000_000.0)
    one.hit("k")
    one.hit("k")
    one.clock.advance(0.5)
    again = one.hit("k")
    carried = pickle.loads(pickle.dumps(again))
    assert one.store.hits == 2
    assert (carried.allowed, carried.retry_after) == (False, 59.5)
    assert carried.headers("both") == again.headers("both")


def test_a_store_that_fails_leaves_nothing_behind():
    store = breakable(MemoryRateLimitStore)()
    limiter = RateLimiter("1/m", store=store, on_error="closed")
    store.broken = True
    assert not limiter.hit("k").allowed
    store.broken = False
    assert limiter.hit("k").allowed


QUOTA = Quota([Limit(1, "1m")])


def test_its_memory_is_bounded():
    denials = Denials("1s", None)
    for number in range(10_000):
        denials.add(str(number), QUOTA, 1, 0, Verdict(False, (9,), (0,), (9,)))
    assert len(denials.kept) == 8_192
    assert "9999" in denials.kept
    assert "0" not in denials.kept


@pytest.mark.parametrize("kind", [StandIn, Blind])
def test_only_what_the_store_said_is_kept(kind):
    denials = Denials("1s", None)
    denials.add("k", QUOTA, 1, 0, kind(False, (9,), (0,), (9,)))
    assert not denials.kept


@pytest.mark.parametrize("value", [0, -1, "soon", True])
def test_nonsense_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"expected deny_cache .*; got "):
        RateLimiter("1/s", deny_cache=value)


def evaluations(server):
    return re.search(rb"cmdstat_evalsha:calls=(\d+)", server.cmd("INFO", "commandstats"))[1]


def test_on_a_server_it_saves_the_round_trips(own_redis):
    with RedisLink.from_url(own_redis.url, timeout="5s") as link:
        limiter = RateLimiter("2/h", store=RedisRateLimitStore(link))
        for _ in range(2):
            limiter.hit("k")
        first = limiter.hit("k")
        before = evaluations(own_redis)
        later = [limiter.hit("k") for _ in range(100)]
        assert evaluations(own_redis) == before
        assert not any(later)
        assert all(decision.retry_after <= first.retry_after for decision in later)
