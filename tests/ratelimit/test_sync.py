from __future__ import annotations

import math
import threading
import time

import pytest

from scalekit.errors import BackendError, ConfigurationError, RateLimitExceeded
from scalekit.events import Counters
from scalekit.ratelimit import AsyncRateLimiter, Limit, MemoryRateLimitStore, RateLimiter, RateLimitEvent
from scalekit.testing import ManualClock, flaky


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def events():
    return []


def summary(events):
    return [(event.name, event.outcome, event.key, event.cost) for event in events]


def test_hit_peek_refund_reset(clock, events):
    limiter = RateLimiter("3/s", "5/m", clock=clock, on_event=events.append, name="api")
    assert limiter.hit("k").remaining == 2
    assert limiter.hit("k", cost=2).remaining == 0
    denied = limiter.hit("k")
    assert not denied
    assert limiter.peek("k").retry_after == denied.retry_after == 1.0
    limiter.refund("k")
    assert limiter.peek("k").remaining == 1
    assert limiter.peek("k", cost=2).allowed is False
    limiter.reset("k")
    assert limiter.peek("k").remaining == 3
    assert summary(events) == [
        ("hit", "allowed", "k", 1),
        ("hit", "allowed", "k", 2),
        ("hit", "denied", "k", 1),
        ("refund", "ok", "k", 1),
        ("reset", "ok", "k", None),
    ]
    assert events[2].decision is denied
    assert {(event.block, event.limiter) for event in events} == {("ratelimit", "api")}
    assert isinstance(events[0], RateLimitEvent)
    assert events[0].fields()["cost"] == 1


def test_the_real_clocks():
    limiter = RateLimiter("1/h")
    before = time.time()
    assert limiter.hit("k")
    decision = limiter.hit("k")
    assert 3590 < decision.retry_after <= 3600
    assert before + 3590 < int(decision.headers("x-ratelimit")["X-RateLimit-Reset"]) < before + 3700


def test_retry_after_is_exact_for_clocks_of_any_origin(clock):
    for start in (0.0, 1.1, 123456.7, 1_700_000_000.123456):
        clock = ManualClock(start=start)
        limiter = RateLimiter("1/100ms", clock=clock)
        for _ in range(200):
            assert limiter.hit("k")
            clock.advance(0.033)
            wait = limiter.hit("k").retry_after
            clock.advance(wait - 1e-6)
            assert not limiter.hit("k")
            clock.advance(1e-6)


def test_keys_and_names_do_not_mix(clock):
    store = MemoryRateLimitStore()
    first, second, same = (
        RateLimiter("1/s", store=store, clock=clock, name=name) for name in ("a", "b", "a")
    )
    assert first.hit("k")
    assert first.hit("x" * 1_000_000)
    assert first.hit("x" * 1_000_001)
    assert not first.hit("x" * 1_000_000)
    assert second.hit("k")
    assert not same.hit("k")
    for odd in ("", "\0", "\ud800", "🔑" * 500):
        assert first.hit(odd)
        assert not first.hit(odd)
        first.refund(odd)
        assert first.peek(odd)
        first.reset(odd)


def test_text_subclasses_are_text(clock):
    class Key(str):
        __slots__ = ()

    limiter = RateLimiter("1/s", clock=clock)
    assert limiter.hit(Key("k"))
    assert not limiter.hit("k")


def test_limits_per_key(clock):
    plans = {"free": "2/m", "pro": [Limit(4, "1m", name="pro"), "100/h"], "one": Limit(1, "1m")}
    limiter = RateLimiter(lambda key: plans[key], clock=clock)
    assert [limiter.hit("free").allowed for _ in range(3)] == [True, True, False]
    assert limiter.hit("pro").limit == Limit(4, "1m", name="pro")
    assert limiter.hit("one", cost=2).retry_after == math.inf
    plans["free"] = ("4/m",)
    assert [limiter.hit("free").allowed for _ in range(3)] == [True, True, False]
    plans["free"] = "3/m"
    assert limiter.hit("free").states[0].remaining == 0
    assert limiter.peek("free").limit == Limit(3, "1m")


def test_a_list_of_limits_is_a_plan_too(clock):
    listed = RateLimiter(["10/s", Limit(5, "1m")], clock=clock).hit("k")
    assert [state.limit for state in listed.states] == [Limit(10, "1s"), Limit(5, "1m")]


def test_made_up_plans_do_not_cost_memory(clock):
    numbers = iter(range(1, 5000))
    limiter = RateLimiter(lambda key: Limit(next(numbers), "1m"), clock=clock)
    for _ in range(3000):
        limiter.peek("k")
    assert len(limiter._plans._quotas) <= 1024


@pytest.mark.parametrize("plan", [None, 5, "", "nonsense", [], [5], {"a": 1}, [["1/s"]], b"1/s", True])
def test_bad_plans_are_refused(plan):
    with pytest.raises(ConfigurationError, match=r"expected limits? .*; got "):
        RateLimiter(lambda key: plan).hit("k")


@pytest.mark.parametrize(
    "limits", [[], [None], [5], [True], ["1/s", 5], [""], [[["1/s"]]], [[]], ["1/s", "1/s"], [b"1/s"]]
)
def test_bad_limits_are_refused(limits):
    with pytest.raises(ConfigurationError, match=r"expected limits? .*; got "):
        RateLimiter(*limits)


@pytest.mark.parametrize("cost", [0, -1, True, False, 1.0, math.nan, "1", None])
@pytest.mark.parametrize("method", ["hit", "peek", "refund", "acquire"])
def test_bad_costs_are_refused(method, cost):
    with pytest.raises(ConfigurationError, match=r"expected cost .*; got ") as caught:
        getattr(RateLimiter("5/s"), method)("k", cost=cost)
    assert caught.value.parameter == "cost"
    with pytest.raises(ConfigurationError):
        RateLimiter("5/s").limited(key="k", cost=cost)


@pytest.mark.parametrize("key", [None, 5, b"k", ("a", "b"), 1.5])
@pytest.mark.parametrize("method", ["hit", "peek", "refund", "acquire", "reset"])
def test_bad_keys_are_refused(method, key):
    with pytest.raises(ConfigurationError, match=r"expected key .*; got "):
        getattr(RateLimiter("5/s"), method)(key)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(
            ("store", 5),
            ("store", object()),
            ("store", MemoryRateLimitStore),
            ("clock", None),
            ("clock", 5.0),
            ("wall_clock", "now"),
        ),
        *(("sleep", 1), ("on_event", 5), ("exempt", "ip:1"), ("exempt", 5), ("exempt", b"x")),
    ],
)
def test_bad_options_are_refused(parameter, value):
    for face in (RateLimiter, AsyncRateLimiter):
        with pytest.raises(ConfigurationError, match=rf"expected {parameter} .*; got "):
            face("5/s", **{parameter: value})


@pytest.mark.parametrize("key", [None, 5])
def test_bad_decorations_are_refused(key):
    with pytest.raises(ConfigurationError, match=r"expected key .*; got "):
        RateLimiter("5/s").limited(key=key)


@pytest.mark.parametrize("exempt", [{"vip"}, ["vip"], lambda key: key == "vip", {"vip": 1}])
def test_the_exempt_are_never_counted(clock, events, exempt):
    limiter = RateLimiter("1/m", clock=clock, exempt=exempt, on_event=events.append)
    for _ in range(3):
        decision = limiter.hit("vip", cost=7)
        assert decision
        assert (decision.remaining, decision.reset_after) == (1, 0.0)
        assert limiter.peek("vip", cost=7)
    assert limiter.acquire("vip", cost=7)
    assert limiter.hit("k")
    assert not limiter.hit("k")
    assert [event.outcome for event in events] == ["exempt"] * 4 + ["allowed", "allowed", "denied"]
    quiet = RateLimiter("1/m", clock=clock, exempt=exempt)
    assert quiet.hit("vip")


def test_the_plan_of_the_exempt_is_not_asked_for(clock, events):
    plan_of = {"k": "2/m"}
    limiter = RateLimiter(plan_of.__getitem__, clock=clock, exempt={"vip"}, on_event=events.append)
    most = 999_999_999_999_999
    for decision in (limiter.hit("vip", cost=7), limiter.peek("vip"), limiter.acquire("vip", timeout=0)):
        assert decision
        assert (decision.limit.name, decision.limit.limit, decision.remaining) == ("exempt", most, most)
        assert (decision.retry_after, decision.reset_after, decision.violated) == (0.0, 0.0, ())
        assert decision.headers() == {
            "RateLimit-Policy": f'"exempt";q={most}',
            "RateLimit": f'"exempt";r={most};t=0',
        }
        assert decision.headers("x-ratelimit")["X-RateLimit-Remaining"] == str(most)
    limiter.refund("vip")
    assert (events[-1].name, events[-1].outcome) == ("refund", "exempt")
    for method in (limiter.hit, limiter.peek, limiter.refund, limiter.acquire):
        with pytest.raises(KeyError):
            method("unknown")


def test_a_refund_to_the_exempt_takes_nothing_back(clock):
    exempt = set()
    limiter = RateLimiter("2/m", clock=clock, exempt=exempt)
    limiter.hit("k")
    exempt.add("k")
    limiter.hit("k")
    limiter.refund("k")
    exempt.clear()
    assert limiter.peek("k").remaining == 1


class TestAcquire:
    def test_waits_as_long_as_it_takes_and_no_longer(self, clock, events):
        limiter = RateLimiter("2/s", clock=clock, sleep=clock.advance, on_event=events.append)
        start = clock()
        for _ in range(7):
            assert limiter.acquire("k")
        assert clock() - start == 3.0
        assert events[-1].name == "acquire"
        assert (events[-1].outcome, events[-1].seconds) == ("allowed", 1.0)
        assert summary(events)[-3:-1] == [("hit", "denied", "k", 1), ("hit", "allowed", "k", 1)]

    def test_gives_up_at_once_when_it_cannot_be_in_time(self, clock, events):
        limiter = RateLimiter("1/10s", clock=clock, sleep=pytest.fail, on_event=events.append)
        assert limiter.acquire("k", timeout=0)
        for timeout in (0, 9.9, "9s"):
            with pytest.raises(RateLimitExceeded) as caught:
                limiter.acquire("k", timeout=timeout)
            assert caught.value.decision.retry_after == 10.0
        assert events[-1].outcome == "denied"
        clock.advance(10)
        assert limiter.hit("k")

    def test_a_wait_that_just_fits_is_waited(self, clock):
        limiter = RateLimiter("1/10s", clock=clock, sleep=clock.advance)
        limiter.hit("k")
        assert limiter.acquire("k", timeout="10s")

    def test_a_cost_above_a_limit_raises_at_once(self, clock):
        limiter = RateLimiter("5/s", "100/m", clock=clock, sleep=pytest.fail)
        with pytest.raises(RateLimitExceeded) as caught:
            limiter.acquire("k", cost=6)
        assert caught.value.decision.retry_after == math.inf
        assert limiter.hit("k", cost=5)

    def test_room_taken_by_another_is_waited_for_again_within_the_timeout(self, clock):
        limiter = RateLimiter("1/s", clock=clock, sleep=lambda wait: (clock.advance(wait), limiter.hit("k")))
        limiter.hit("k")
        with pytest.raises(RateLimitExceeded):
            limiter.acquire("k", timeout="3.5s")
        assert clock() == 1_000_003.0

    def test_an_interrupted_waiter_has_consumed_nothing(self, clock):
        def interrupt(wait):
            raise KeyboardInterrupt

        limiter = RateLimiter("2/s", clock=clock, sleep=interrupt)
        limiter.hit("k")
        with pytest.raises(KeyboardInterrupt):
            limiter.acquire("k", cost=2)
        assert limiter.peek("k").remaining == 1

    def test_a_waiter_holds_up_neither_its_key_nor_another(self, clock):
        sleeping, wake = threading.Event(), threading.Event()

        def sleep(wait):
            sleeping.set()
            assert wake.wait(10)
            clock.advance(wait)

        limiter = RateLimiter("1/s", clock=clock, sleep=sleep)
        limiter.hit("slow")
        waiter = threading.Thread(target=limiter.acquire, args=("slow",))
        waiter.start()
        assert sleeping.wait(10)
        assert limiter.acquire("other")
        assert not limiter.hit("slow")
        wake.set()
        waiter.join(10)
        assert not limiter.hit("slow")

    @pytest.mark.parametrize("timeout", [-1, True, math.nan, "x", "-1s"])
    def test_bad_timeouts_are_refused(self, timeout):
        with pytest.raises(ConfigurationError, match=r"expected timeout .*; got "):
            RateLimiter("1/s").acquire("k", timeout=timeout)


class TestLimited:
    def test_raises_when_denied_and_keeps_the_function(self, clock):
        limiter = RateLimiter("2/m", clock=clock)

        @limiter.limited(key=lambda user_id, *a, **k: f"user:{user_id}", cost=2)
        def send(user_id: int, text: str) -> str:
            """Send."""
            return f"{user_id}:{text}"

        assert send(1, "a") == "1:a"
        assert send(2, text="b") == "2:b"
        with pytest.raises(RateLimitExceeded) as caught:
            send(1, "c")
        assert caught.value.decision.violated == (Limit(2, "1m"),)
        assert (send.__name__, send.__doc__) == ("send", "Send.")
        assert send.__wrapped__(1, "d") == "1:d"

    def test_methods_and_fixed_keys(self, clock):
        limiter = RateLimiter("1/m", clock=clock)

        class Api:
            @limiter.limited(key="all")
            def call(self):
                return self

        api = Api()
        assert api.call() is api
        with pytest.raises(RateLimitExceeded):
            api.call()

    def test_an_async_function_is_a_type_error(self):
        async def send(): ...

        with pytest.raises(TypeError, match=r"send is async.*AsyncRateLimiter\.limited"):
            RateLimiter("1/s").limited(key="k")(send)


def test_an_async_store_is_a_type_error():
    class Store(MemoryRateLimitStore):
        async def hit(self, *args): ...

    with pytest.raises(TypeError, match="Store is an async store: use AsyncRateLimiter"):
        RateLimiter("1/s", store=Store())


def test_a_store_that_fails_is_not_a_denial(clock):
    store = flaky(MemoryRateLimitStore(), fails=[False, True])
    limiter = RateLimiter("5/s", store=store, clock=clock, on_error="raise")
    assert limiter.hit("k").remaining == 4
    with pytest.raises(BackendError):
        limiter.hit("k")
    assert limiter.hit("k").remaining == 3


def test_counters_and_failing_hooks(clock):
    counters = Counters()
    limiter = RateLimiter("1/s", clock=clock, on_event=counters)
    limiter.hit("k")
    limiter.hit("k")
    assert counters.counts() == {
        ("ratelimit", "hit", "allowed"): 1,
        ("ratelimit", "hit", "denied"): 1,
    }


def test_eight_threads_admit_exactly_the_limit():
    limiter, admitted, barrier = RateLimiter("500/h", "2000/d"), [], threading.Barrier(8)

    def work():
        barrier.wait()
        admitted.append(sum(limiter.hit("k").allowed for _ in range(200)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 500
    assert [state.remaining for state in limiter.peek("k").states] == [0, 1500]


@pytest.mark.parametrize(
    "algorithm", ["sliding-window", "sliding-log", "sliding-counter", "gcra", "fixed-window"]
)
def test_each_algorithm_by_name(algorithm):
    clock = ManualClock()
    limiter = RateLimiter("6/m", algorithm=algorithm, clock=clock)
    assert limiter.hit("a", cost=6)
    denied = limiter.hit("a")
    assert not denied
    clock.advance(denied.retry_after)
    assert limiter.hit("a")


def test_limiters_of_one_name_and_other_algorithms_do_not_share():
    store, clock = MemoryRateLimitStore(), ManualClock()
    first = RateLimiter("6/m", store=store, algorithm="gcra", clock=clock)
    second = RateLimiter("6/m", store=store, algorithm="fixed-window", clock=clock)
    assert first.hit("a", cost=6).remaining == second.hit("a", cost=6).remaining == 0


@pytest.mark.parametrize("algorithm", ["dice", None, ["gcra"]])
@pytest.mark.parametrize("limits", ["6/m", lambda key: "6/m"])
def test_an_unknown_algorithm_is_refused_at_once(algorithm, limits):
    with pytest.raises(ConfigurationError, match=r"algorithm as one of sliding-window, .*; got"):
        RateLimiter(limits, algorithm=algorithm)
