"""The script of the sliding window against its rule, told the time; and what all scripts keep on a server."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.errors import BackendError, ConfigurationError
from scalekit.ratelimit import Limit, Quota, Verdict
from scalekit.ratelimit._sliding_log import SlidingLog
from scalekit.ratelimit.redis._call import operands, script_of
from scalekit.redis import RedisLink
from tests.ratelimit.redis_stores import TOLD, ToldTime

SECOND = 1_000_000
HOUR = 3_600 * SECOND
TODAY = 1_800_000_000 * SECOND  # of the order of what TIME says

_fresh = count()


def quota(text, algorithm="sliding-window"):
    return Quota(Limit.parse_many(text), algorithm)


@pytest.fixture
def link(redis_server):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        yield link


@pytest.fixture
def told(link):
    return ToldTime(link)


# -- against the rule ------------------------------------------------------------------------------


class Model:
    """The rule, with memory as the script has it: a denial and a peek leave no trace."""

    def __init__(self):
        self.log = None

    def ask(self, step, quota, cost, now):
        log = self.log or SlidingLog(quota)
        verdict = log.peek(quota, cost, now)
        if step == "hit" and verdict.allowed:
            self.log = log
            verdict = log.hit(quota, cost, now)
        return verdict

    def refund(self, cost):
        if self.log is not None:
            self.log.refund(cost)


def steps(costs, *others):
    asked = [st.tuples(st.just(step), costs) for step in ("hit", "hit", "peek", *others)]
    jumps = st.sampled_from([0, 1, 7, SECOND, 10 * SECOND, HOUR - 1, HOUR, -1, -SECOND, -HOUR])
    return st.lists(
        st.one_of(
            *asked,
            st.tuples(st.just("advance"), jumps),
            st.tuples(st.just("quota"), st.integers(0, 3)),
        ),
        min_size=10,
        max_size=40,
    )


def agrees(told, key_prefix, quotas, history):
    key, now, current, model = f"{key_prefix}{next(_fresh)}", TODAY, quotas[0], Model()
    for step, value in history:
        if step == "advance":
            now += value
        elif step == "quota":
            current = quotas[value % len(quotas)]
        elif step == "refund":
            told.refund(key, current, value, now)
            model.refund(value)
        else:
            answer = getattr(told, step)(key, current, value, now)
            assert answer == model.ask(step, current, value, now)


# Equal in their largest limit and longest window: how much more than both reach is remembered is no law.
REACHING_ALIKE = [
    quota("300/h"),
    quota("5/10s; 300/h"),
    quota("2/m; 150/30m; 300/h"),
    quota("300/s; 9/h; 1/us"),
]


def test_any_history_agrees_with_the_rule(told, key_prefix):
    """Rings beyond what is read together with the header, wrapping runs, clocks that jump back."""

    @settings(deadline=None)
    @given(history=steps(st.sampled_from([1, 2, 40, 151, 299, 300, 301]), "refund"))
    def holds(history):
        agrees(told, key_prefix, REACHING_ALIKE, history)

    holds()


def test_any_change_of_plan_agrees_with_the_rule(told, key_prefix):
    quotas = [quota("5/10s"), quota("3/h; 9/d"), quota("1/s"), quota("200/w")]

    @settings(deadline=None)
    @given(history=steps(st.integers(1, 12)))
    def holds(history):
        agrees(told, key_prefix, quotas, history)

    holds()


def test_a_ring_far_larger_than_what_is_read_at_once_agrees_with_the_rule(told, key_prefix):
    plan = quota("3000/h; 2500/30m", "sliding-log")
    history = [("hit", 1 + n % 7) if n % 3 else ("advance", 5 * SECOND + n) for n in range(2_000)]
    agrees(told, key_prefix, [plan], history)


def test_the_longest_window_and_the_largest_limit_are_exact(told, key_prefix):
    window = 1 << 52
    longest = Quota([Limit(2, window / SECOND)], "sliding-log")
    assert told.hit(key_prefix, longest, 2, TODAY + 1) == Verdict(True, (0,), (0,), (window,))
    assert told.hit(key_prefix, longest, 1, TODAY + window).retry == (1,)
    assert told.hit(key_prefix, longest, 1, TODAY + window + 1).allowed
    largest, key = quota("100000/d", "sliding-log"), f"{key_prefix}largest"
    assert told.hit(key, largest, 99_999, TODAY).remaining == (1,)
    assert not told.hit(key, largest, 2, TODAY).allowed
    assert told.hit(key, largest, 1, TODAY).remaining == (0,)
    assert told.hit(key, largest, 10**5_000, TODAY).retry == (-1,)
    told.refund(key, largest, 10**5_000, TODAY)
    assert told.peek(key, largest, 100_000, TODAY).allowed


def test_a_server_clock_that_runs_back_admits_nothing_more(told, link, key_prefix):
    plan = quota("1/h")
    told.hit(key_prefix, plan, 1, TODAY)
    assert told.hit(key_prefix, plan, 1, TODAY - HOUR).retry == (2 * HOUR,)
    told.refund(key_prefix, plan, 1, TODAY)
    assert told.hit(key_prefix, plan, 1, TODAY - HOUR).reset == (2 * HOUR,)
    assert told.hit(key_prefix, plan, 1, TODAY + HOUR - 1).retry == (1,)
    # The server counts the time to live from its own present, which is an hour before the admission.
    assert link.execute("PTTL", f"sk:rl:{key_prefix}") > 7_100_000


# -- what is kept ----------------------------------------------------------------------------------


def test_every_key_expires_and_not_before_its_longest_window(told, link, key_prefix):
    stored = f"sk:rl:{key_prefix}"
    plan, now = quota("3/10s; 5/h"), TODAY

    def lives():
        assert HOUR // 1000 - 5_000 <= link.execute("PTTL", stored) <= HOUR // 1000 + 1_000

    told.peek(key_prefix, plan, 1, now)
    told.refund(key_prefix, plan, 1, now)
    assert link.execute("EXISTS", stored) == 0
    for step, cost in (
        ("hit", 1),
        ("hit", 2),
        ("hit", 1),
        ("peek", 1),
        ("refund", 1),
        ("hit", 1),
        ("hit", 9),
    ):
        getattr(told, step)(key_prefix, plan, cost, now)
        lives()
    for now in (TODAY + 11 * SECOND, TODAY + HOUR, TODAY + 3 * HOUR):
        link.execute("PEXPIRE", stored, 5_000)
        told.hit(key_prefix, plan, 1, now)
        lives()
    link.execute("PEXPIRE", stored, 5_000)
    told.hit(key_prefix, quota("9/s"), 1, now)  # a shorter plan must not shorten what a longer one counts
    lives()
    told.refund(key_prefix, plan, 100, now)
    lives()
    told.reset(key_prefix)
    assert link.execute("EXISTS", stored) == 0


def test_the_shortest_window_never_expires_at_once(told, link, key_prefix):
    plan = quota("1/us")
    told.peek(key_prefix, plan, 1, TODAY)  # the server knows the script now
    hit = ("EVALSHA", script_of(plan.algorithm, 1, TOLD).digest, *operands("hit", key_prefix, plan, 1), TODAY)
    for _, left in [link.pipeline([hit, ("PTTL", f"sk:rl:{key_prefix}")]) for _ in range(3)]:
        assert 1 <= left <= 1_000


def test_a_denial_and_a_peek_write_nothing(told, link, key_prefix):
    stored, plan = f"sk:rl:{key_prefix}", quota("2/m; 5/h")
    told.hit(key_prefix, plan, 2, TODAY)
    before = link.execute("GET", stored)
    link.execute("PEXPIRE", stored, 50_000)
    told.hit(key_prefix, plan, 1, TODAY + 1)
    told.peek(key_prefix, quota("9/d"), 1, TODAY + 1)
    assert link.execute("GET", stored) == before
    assert link.execute("PTTL", stored) <= 50_000


@pytest.mark.parametrize(("units", "most"), [(1, 160), (100, 1_000), (10_000, 82_500)])
def test_a_full_window_takes_eight_bytes_per_unit(told, link, key_prefix, units, most):
    plan, stored = Quota([Limit(units, "1h")], "sliding-log"), f"sk:rl:{key_prefix}"
    step = max(1, units // 500)
    for n in range(units // step):
        assert told.hit(key_prefix, plan, step, TODAY + n).allowed
    assert link.execute("STRLEN", stored) == 39 + 8 * units
    assert link.execute("MEMORY", "USAGE", stored) <= most + len(stored)


@pytest.mark.parametrize("units", [513, 5_000, 2**31])
def test_a_large_limit_takes_less_than_700_bytes(told, link, key_prefix, units):
    plan, stored = Quota([Limit(units, "1h")]), f"sk:rl:{key_prefix}"
    for n in range(400):
        assert told.hit(key_prefix, plan, 1, TODAY + n * 10 * SECOND).allowed
    assert link.execute("STRLEN", stored) <= 450
    assert link.execute("MEMORY", "USAGE", stored) <= 700 + len(stored)


@pytest.mark.parametrize("algorithm", ["gcra", "token-bucket", "fixed-window", "sliding-counter"])
def test_counters_take_a_few_bytes_per_limit(told, link, key_prefix, algorithm):
    plan, stored = quota("10/s; 100/15m; 5000/d", algorithm), f"sk:rl:{key_prefix}"
    for n in range(20):
        told.hit(key_prefix, plan, 1, TODAY + n * SECOND)
    assert link.execute("STRLEN", stored) <= 9 + 20 * 3
    assert link.execute("MEMORY", "USAGE", stored) <= 200 + len(stored)


ENDS = {
    "fixed-window": 40,
    "sliding-counter": 100,
    "gcra": 6,
    "token-bucket": 6,
}  # seconds, of the plan below
ENDS |= {"sliding-log": 60, "sliding-window": 60}


@pytest.mark.parametrize("algorithm", ENDS)
def test_a_key_lives_until_its_last_unit_counts_no_more(told, link, key_prefix, algorithm):
    """To the millisecond, and 10 more: the time to live is what the rule says of the longest limit."""
    plan = quota("10/m; 2/s", algorithm)
    minute = TODAY // (60 * SECOND) * 60 * SECOND
    for n, after in enumerate((0, 20)):
        key = f"{key_prefix}{n}"
        verdict = told.hit(key, plan, 1, minute + after * SECOND)
        left = link.execute("PTTL", f"sk:rl:{key}")
        assert max(verdict.reset) // 1_000 - 1_000 <= left <= max(verdict.reset) // 1_000 + 11
    assert max(verdict.reset) == ENDS[algorithm] * SECOND
    told.refund(key, plan, 1, minute + 20 * SECOND)
    assert 0 < link.execute("PTTL", f"sk:rl:{key}") <= left  # never for ever


@pytest.mark.parametrize("algorithm", ENDS)
def test_the_key_of_a_large_limit_lives_until_its_last_unit_counts_no_more(told, link, key_prefix, algorithm):
    plan = quota("1000/m; 9/s", algorithm)
    verdict = told.hit(key_prefix, plan, 3, TODAY)
    left = link.execute("PTTL", f"sk:rl:{key_prefix}")
    assert max(verdict.reset) // 1_000 - 1_000 <= left <= max(verdict.reset) // 1_000 + 11


def test_what_is_expired_makes_room_without_growth(told, link, key_prefix):
    plan = quota("1000/m", "sliding-log")
    for n in range(300):
        told.hit(key_prefix, plan, 1, TODAY + n * 30 * SECOND)
    assert link.execute("STRLEN", f"sk:rl:{key_prefix}") <= 39 + 8 * 4


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (
            quota("100001/d", "sliding-log"),
            "limit <= 100000 under 'sliding-log' in a store on Redis",
        ),
        (quota("2147483649/d"), "limit <= 2147483648 under 'sliding-window' in a store on Redis; got"),
        (quota("5/s; 1/200year"), "window <= 4503599627 seconds in a store on Redis"),
    ],
)
def test_a_quota_beyond_the_script_is_refused(told, key_prefix, plan, named):
    for method in (told.hit, told.peek, told.refund):
        with pytest.raises(ConfigurationError, match=named):
            method(key_prefix, plan, 1, TODAY)


def test_an_unknown_algorithm_is_refused(told, key_prefix):
    plan = quota("5/s")
    plan.algorithm = "dice"
    with pytest.raises(ConfigurationError, match=r"algorithm as one of sliding-window, .*; got 'dice'"):
        told.hit(key_prefix, plan, 1, TODAY)


def test_keys_that_no_text_encoding_knows_stay_apart(told, key_prefix):
    for odd in ("\ud800", "\udfff", "?", "\ufffd", "\\ud800"):
        assert told.hit(key_prefix + odd, quota("2/h"), 1, TODAY).remaining == (1,), odd


def test_an_error_of_the_server_is_raised_and_nothing_made_up(told, link, key_prefix):
    link.execute("LPUSH", f"sk:rl:{key_prefix}", "not ours")
    # Whether a shared server knows TOLD depends on which tests came before; one of its own it cannot know,
    # so that both ways are taken here, in this order.
    told._clock = f"\n-- {key_prefix}{TOLD}"
    for command in ("EVAL", "EVALSHA"):
        with pytest.raises(BackendError, match=rf"^redis {command}: .*WRONGTYPE"):
            told.hit(key_prefix, quota("5/h"), 1, TODAY)
