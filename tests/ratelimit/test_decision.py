from __future__ import annotations

import json
import math
import pickle

import pytest

from scalekit.errors import ConfigurationError, RateLimitExceeded
from scalekit.ratelimit import Decision, Limit, LimitState, MemoryRateLimitStore, Penalty, Quota, RateLimiter
from scalekit.testing import ManualClock, flaky


@pytest.fixture
def clock():
    return ManualClock()


def limiter(clock, *limits):
    return RateLimiter(*limits, clock=clock, wall_clock=lambda: 1_700_000_000.25)


def test_an_allowed_decision_speaks_of_the_limit_with_fewest_units_left(clock):
    decision = limiter(clock, "100/15m", "10/s").hit("k")
    assert decision
    assert decision.allowed is True
    assert decision.limit == Limit(10, "1s")
    assert (decision.remaining, decision.retry_after, decision.reset_after) == (9, 0.0, 1.0)
    assert decision.violated == ()
    assert decision.states == (LimitState(Limit(100, "15m"), 99, 900.0), LimitState(Limit(10, "1s"), 9, 1.0))
    assert decision.states[0].limit == Limit(100, "15m")


def test_of_equally_tight_limits_the_longer_one_is_named(clock):
    assert limiter(clock, "5/s", "5/m").hit("k").limit == Limit(5, "1m")


def test_a_denied_decision_speaks_of_the_limit_to_wait_for_longest(clock):
    one = limiter(clock, "2/s", "3/m", "100/h")
    one.hit("k", cost=2)
    decision = one.hit("k", cost=2)
    assert not decision
    assert decision.violated == (Limit(2, "1s"), Limit(3, "1m"))
    assert decision.limit == Limit(3, "1m")
    assert decision.retry_after == 60.0
    assert [state.remaining for state in decision.states] == [0, 1, 98]


def test_retry_is_not_reset(clock):
    one = limiter(clock, "2/m")
    one.hit("k")
    clock.advance(20)
    one.hit("k")
    decision = one.hit("k")
    assert (decision.retry_after, decision.reset_after) == (40.0, 60.0)


def test_a_cost_above_a_limit_can_never_be_admitted(clock):
    one = limiter(clock, "5/s", "100/m")
    decision = one.hit("k", cost=6)
    assert not decision
    assert decision.retry_after == math.inf
    assert (decision.limit, decision.violated) == (Limit(5, "1s"), (Limit(5, "1s"),))
    assert [state.remaining for state in decision.states] == [5, 100]
    assert "Retry-After" not in decision.headers("both")
    assert "no wait will help" in decision.problem()["detail"]
    assert one.hit("k", cost=5)


def test_headers_of_draft_11(clock):
    one = RateLimiter(
        Limit(3, "500ms", name="burst"), Limit(4, "1m", name='a "b" \\'), "1000/1500ms", clock=clock
    )
    one.hit("k", cost=2)
    clock.advance("250ms")
    assert one.hit("k").headers() == {
        "RateLimit-Policy": '"burst";q=3, "a \\"b\\" \\\\";q=4;w=60, "1000/1500ms";q=1000',
        "RateLimit": '"burst";r=0;t=1, "a \\"b\\" \\\\";r=1;t=60, "1000/1500ms";r=997;t=2',
    }
    # Not before the end of any t: the first room is 250 ms away, the whole minute's quota 60 s.
    assert one.hit("k").headers() == {
        "RateLimit-Policy": '"burst";q=3, "a \\"b\\" \\\\";q=4;w=60, "1000/1500ms";q=1000',
        "RateLimit": '"burst";r=0;t=1, "a \\"b\\" \\\\";r=1;t=1, "1000/1500ms";r=997;t=1',
        "Retry-After": "1",
    }


def test_x_headers_speak_of_the_tightest_limit_in_epoch_seconds(clock):
    one = limiter(clock, "1/m", "10/s")
    assert one.hit("k").headers("x-ratelimit") == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1700000061",
    }
    assert one.hit("k").headers(style="x-ratelimit")["Retry-After"] == "60"
    both = one.hit("k").headers("both")
    assert both == one.hit("k").headers("ietf") | one.hit("k").headers("x-ratelimit")


def test_the_reset_in_epoch_seconds_is_that_of_the_moment_of_the_hit(clock):
    wall = ManualClock()
    one = RateLimiter("1/m", clock=clock, wall_clock=lambda: 1_700_000_000.25 + wall())
    decision = one.hit("k")
    fields = decision.headers("x-ratelimit")
    for moved in (clock, wall):
        moved.advance(7)
    assert decision.headers("x-ratelimit") == fields
    carried = pickle.loads(pickle.dumps(decision))
    for moved in (clock, wall):
        moved.advance(7)
    assert carried.headers("both") == decision.headers("both")


@pytest.mark.parametrize("style", ["legacy", "", None, 1])
def test_bad_styles_are_refused(clock, style):
    with pytest.raises(ConfigurationError, match=r"expected style .*; got "):
        limiter(clock, "1/m").hit("k").headers(style)


def test_problem_document(clock):
    one = limiter(clock, "10/s", Limit(1, "1m", name="login"))
    allowed = one.hit("k")
    problem = one.hit("k").problem()
    assert problem == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "detail": "login exceeded; retry in 60 s",
        "violated-policies": ["login"],
    }
    json.dumps(problem, allow_nan=False)
    with pytest.raises(ConfigurationError, match="that is a denial"):
        allowed.problem()


def test_decisions_survive_pickling_and_show_themselves(clock):
    one = limiter(clock, "1/m")
    one.hit("k")
    decision = one.hit("k")
    error = pickle.loads(pickle.dumps(RateLimitExceeded(decision)))
    assert error.decision.headers("both") == decision.headers("both")
    assert str(error) == "rate limit 1/m exceeded; retry after 60.000 s"
    assert repr(decision) == "<Decision denied for 60.0 s by 1/m: 0 left, all back in 60.0 s>"
    assert repr(one.hit("other")) == "<Decision allowed 1/m: 0 left, all back in 60.0 s>"
    assert isinstance(decision, Decision)


def test_what_no_limit_denied_does_not_look_as_if_one_did(clock):
    closed = RateLimiter(
        "1/m", store=flaky(MemoryRateLimitStore(), fails=[True]), on_error="closed", clock=clock
    )
    assert repr(closed.hit("k")) == "<Decision denied for 1.0 s (degraded) 1/m: 0 left, all back in 0.0 s>"
    firm = RateLimiter("1/m", penalty=Penalty(after=1, within="1h", ban="15m"), clock=clock)
    firm.hit("k")
    assert repr(firm.hit("k")).startswith("<Decision denied for 900.0 s (banned) 1/m: ")
    trial = RateLimiter("1/m", shadow=True, clock=clock)
    trial.hit("k")
    assert repr(trial.hit("k")).startswith("<Decision allowed (shadowed) 1/m: ")


@pytest.mark.parametrize("limits", [[], [Limit(1, "1s"), Limit(1, "1s")]])
def test_bad_quotas_are_refused(limits):
    with pytest.raises(ConfigurationError, match=r"expected limits with .*; got "):
        Quota(limits)
