"""What a limiter answers while its store does not, in each mode and on both faces."""

from __future__ import annotations

import math
import pickle

import pytest

from scalekit.errors import BackendError, ConfigurationError, RateLimitExceeded
from scalekit.ratelimit import AsyncRateLimiter, Limit, MemoryRateLimitStore, RateLimiter
from scalekit.testing import ManualClock
from scalekit.testing._driver import Driver
from tests.ratelimit.stores import AwaitedMemoryStore, breakable

MODES = ("local", "open", "closed", "raise")


class Face:
    """A limiter whose store can be broken, its methods as plain calls."""

    def __init__(self, make, store, driver, *limits, **options):
        self.store = breakable(store)()
        self.clock = ManualClock()
        self.events = []
        self.limiter = make(
            *limits, store=self.store, clock=self.clock, on_event=self.events.append, **options
        )
        self.driver = driver

    def __getattr__(self, method):
        return lambda *args, **options: self.driver(getattr(self.limiter, method), *args, **options)


@pytest.fixture(params=["sync", "async", "async, in memory"])
def face(request):
    make, store = {
        "sync": (RateLimiter, MemoryRateLimitStore),
        "async": (AsyncRateLimiter, AwaitedMemoryStore),
        "async, in memory": (AsyncRateLimiter, MemoryRateLimitStore),
    }[request.param]
    with Driver() as driver:
        yield lambda *limits, **options: Face(make, store, driver, *limits, **options)


def test_local_counts_a_share_in_place_of_the_store(face):
    one = face("8/m", expected_processes=4)
    assert one.hit("k", cost=5).remaining == 3
    one.store.broken = True
    decisions = [one.hit("k") for _ in range(3)]
    assert [decision.allowed for decision in decisions] == [True, True, False]
    assert all(decision.degraded for decision in decisions)
    denied = decisions[-1]
    assert [str(limit) for limit in denied.violated] == ["8/m"] == [str(denied.limit)]
    assert (denied.retry_after, denied.problem()["status"]) == (60.0, 429)
    one.clock.advance(60)
    assert one.hit("k").allowed


def test_a_share_is_one_unit_at_least(face):
    one = face("3/m", "1/s", expected_processes=100)
    one.store.broken = True
    assert [one.hit("k").allowed for _ in range(2)] == [True, False]


def test_a_cost_above_the_share_alone_may_come_again(face):
    one = face("8/m", expected_processes=4)
    one.store.broken = True
    later, never = one.hit("k", cost=3), one.hit("k", cost=9)
    assert (later.allowed, later.retry_after) == (False, 1.0)
    assert (never.allowed, never.retry_after) == (False, math.inf)
    assert one.hit("k", cost=2).allowed, "a denial has consumed something"


def test_open_admits_all_and_claims_to_know_nothing(face):
    one = face("2/m", on_error="open")
    one.store.broken = True
    for decision in (*(one.hit("k") for _ in range(5)), one.peek("k")):
        assert decision.allowed
        assert decision.degraded
        assert not decision.violated
        assert decision.headers("both") == {"RateLimit-Policy": '"2/m";q=2;w=60'}
    assert one.acquire("k").allowed
    one.store.broken = False
    assert one.hit("k").remaining == 1


def test_closed_is_no_fault_of_the_caller(face):
    one = face("2/m", on_error="closed")
    one.store.broken = True
    for decision in (one.hit("k"), one.peek("k")):
        assert not decision.allowed
        assert decision.degraded
        assert decision.violated == ()
        assert decision.headers("both") == {"RateLimit-Policy": '"2/m";q=2;w=60', "Retry-After": "1"}
        problem = decision.problem()
        assert problem["status"] == 503
        assert problem["type"].endswith("#temporary-reduced-capacity")
        assert "violated-policies" not in problem
        carried = pickle.loads(pickle.dumps(decision))
        assert (carried.degraded, carried.problem()) == (True, problem)
    with pytest.raises(RateLimitExceeded) as raised:
        one.acquire("k", timeout=0)
    assert raised.value.decision.degraded


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_a_cost_above_the_limit_is_the_callers_all_the_same(face, mode):
    one = face("2/m", on_error=mode)
    one.store.broken = True
    decision = one.hit("k", cost=3)
    assert (decision.allowed, decision.retry_after, decision.violated) == (
        False,
        math.inf,
        (Limit(2, "1m", name="2/m"),),
    )


def test_raise_raises(face):
    one = face("2/m", on_error="raise")
    one.store.broken = True
    for method in ("hit", "peek", "refund", "reset", "acquire"):
        with pytest.raises(BackendError, match="injected fault"):
            getattr(one, method)("k")
    assert [event.name for event in one.events] == ["store"] * 5


@pytest.mark.parametrize("mode", MODES)
def test_the_store_is_asked_again_at_once(face, mode):
    one = face("5/m", on_error=mode)
    one.hit("k", cost=2)
    one.store.broken = True
    if mode == "raise":
        with pytest.raises(BackendError):
            one.hit("k")
    else:
        assert one.hit("k").degraded
    one.store.broken = False
    decision = one.hit("k")
    assert (decision.degraded, decision.remaining) == (False, 2)


def test_what_is_not_the_stores_fault_is_no_reason(face):
    def plan(key):
        raise LookupError(key)

    one = face(plan)
    with pytest.raises(LookupError):
        one.hit("k")
    with pytest.raises(ConfigurationError):
        one.hit("k", cost=0)

    one = face("1/m")
    one.store.broken = ZeroDivisionError("a bug of the store's")
    with pytest.raises(ZeroDivisionError):
        one.hit("k")


def test_a_refund_and_a_reset_go_where_the_hits_go(face):
    one = face("4/m")
    one.store.broken = True
    one.hit("k", cost=3)
    one.refund("k", cost=2)
    assert one.peek("k").remaining == 3
    one.reset("k")
    assert one.peek("k").remaining == 4


@pytest.mark.parametrize("mode", ["local", "open"])
def test_what_the_store_never_counted_it_does_not_give_back(face, mode):
    one = face("4/m", on_error=mode)
    one.hit("k", cost=3)
    one.store.broken = True
    assert one.hit("k").degraded
    one.store.broken = False
    one.refund("k")
    assert one.peek("k").remaining == 1
    one.refund("k")
    assert one.peek("k").remaining == 2, "and what it did count it does"


def test_a_refund_long_after_an_outage_is_the_stores(face):
    one = face("4/m")
    one.store.broken = True
    one.hit("k")
    one.store.broken = False
    one.clock.advance(60)
    one.hit("k", cost=3)
    one.refund("k")
    assert one.peek("k").remaining == 2


def test_the_keys_of_an_outage_do_not_pile_up(face):
    one = face("4/m", on_error="open")
    one.store.broken = True
    for number in range(2_000):
        one.hit(str(number))
    assert len(one.limiter._fallback._admitted) == 1_024


def test_a_reset_while_the_store_is_there_is_one_for_the_next_outage_too(face):
    one = face("4/m")
    one.store.broken = True
    one.hit("k", cost=4)
    one.store.broken = False
    one.reset("k")
    one.store.broken = True
    assert one.hit("k").allowed


def test_the_failure_is_an_event_and_the_decision_tells(face):
    one = face("2/m", on_error="closed")
    one.store.broken = True
    one.hit("k")
    one.refund("k")
    one.reset("k")
    told = [(event.name, event.outcome) for event in one.events]
    assert told == [
        *(("store", "error"), ("hit", "denied")),
        *(("store", "error"), ("refund", "error")),
        *(("store", "error"), ("reset", "error")),
    ]
    failure, hit = one.events[:2]
    assert isinstance(failure.error, BackendError)
    assert hit.decision.degraded


def test_plans_that_a_callable_makes_up_do_not_pile_up(face):
    one = face(lambda key: f"{key}/m", expected_processes=2)
    one.store.broken = True
    for units in range(1, 1_500):
        assert one.hit(str(units)).allowed
    assert len(one.limiter._fallback._shares) <= 1_024


@pytest.mark.parametrize("make", [RateLimiter, AsyncRateLimiter])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("on_error", "lenient"), ("on_error", None), ("on_error", ["open"])),
        *(("expected_processes", 0), ("expected_processes", True), ("expected_processes", 1.5)),
    ],
)
def test_nonsense_is_refused(make, parameter, value):
    with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got "):
        make("2/m", **{parameter: value})
