"""What a row holds, and what a call makes of it."""

from __future__ import annotations

import random

import pytest

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import Limit, Quota
from scalekit.ratelimit._limit import LARGEST
from scalekit.ratelimit._quota import ALGORITHMS
from scalekit.ratelimit.sqlalchemy import _row
from scalekit.testing._ratelimit_calls import START, Rule
from tests.ratelimit.sqlalchemy.conftest import quota

SECOND = 1_000_000


def test_different_keys_have_different_rows():
    keys = ["", "\0", "a", "a\0", "\ud800", "\ud800\udc00", "é", "e\u0301", "x" * 200, "x" * 201, "x" * 300]
    keys += ["y" * 300, "\ud800" * 300, "\U0001f511" * 300]
    rows = [_row.stored_key(key) for key in keys]
    assert len(set(rows)) == len(keys)
    assert max(map(len, rows)) <= 200


def test_no_short_key_is_like_a_hashed_one():
    for letter in "abcdefgh":
        assert _row.stored_key(letter * 300)[0] > 0xF7, "with that byte no UTF-8 begins"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_row_expires_when_nothing_in_it_counts_and_soon_after(algorithm):
    chosen = random.Random(7)
    for limits in ("3/s", "100/m; 5/s", "2000/h", "700/m; 3/10s", "1/d"):
        plan = quota(limits, algorithm)
        data, rule, now = b"", Rule(plan), START
        for _ in range(60):
            now += chosen.randrange(plan.longest // 8)
            cost = chosen.randint(1, plan.smallest)
            verdict, kept = _row.hit(data, plan, cost, now)
            assert verdict == rule.hit(plan, cost, now)
            if kept is not None:
                data = kept.state
                anew = _row.peek(b"", plan, 1, kept.expires)
                assert _row.peek(data, plan, 1, kept.expires) == anew == plan.untouched
                assert now + plan.longest <= kept.expires <= now + 3 * plan.longest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_most_hits_leave_the_index_alone(algorithm):
    plan = quota("100/m", algorithm)
    data, ends = b"", set()
    for i in range(100):
        verdict, kept = _row.hit(data, plan, 1, START + i * 100_000)
        assert verdict.allowed
        data = kept.state
        ends.add(kept.expires)
    assert len(ends) <= 2


def test_what_a_longer_window_has_admitted_is_not_dropped_with_a_shorter_one():
    day, second = quota("5/d"), quota("5/s")
    _, kept = _row.hit(b"", day, 5, START)
    _, kept = _row.hit(kept.state, second, 1, START + SECOND)
    assert kept.expires >= START + 86_400 * SECOND


@pytest.mark.parametrize("old", ALGORITHMS)
@pytest.mark.parametrize("new", ALGORITHMS)
@pytest.mark.parametrize("limits", ["5/m", "5/m; 900/h", "900/m"])
def test_an_old_algorithm_applies_while_anything_counts_that_it_has_admitted(old, new, limits):
    """Two versions side by side: neither gives more than the limit, nor undoes what the other counts."""
    before, after = quota(limits, old), quota(limits, new)
    data, at, admitted = b"", START // 60_000_000 * 60_000_000, 0
    for i in range(before.smallest + 5):
        verdict, kept = _row.hit(data, (before, after)[i % 2], 1, at + i)
        admitted += verdict.allowed
        data = kept.state if kept else data
    assert admitted == before.smallest
    assert not _row.peek(data, after, before.smallest, at + 1_000).allowed
    gone = kept.expires if kept else at + 10 * before.longest
    data = _row.refunded(data, after, 1, at + 1_000)
    verdict, kept = _row.hit(data, after, 1, gone)
    assert verdict.allowed
    assert kept.state[:1] == _row._LETTERS[new]


@pytest.mark.parametrize("data", [b"?", b"wG", b"w", b"w" + bytes(40), b"\xff" * 60])
def test_what_is_no_state_is_not_taken_for_one(data):
    for call in (_row.hit, _row.peek, _row.refunded):
        with pytest.raises(_row.Unreadable, match="no packed state"):
            call(data, quota("5/m"), 1, START)


def test_a_log_beyond_a_row_is_refused():
    with pytest.raises(ConfigurationError, match="expected limit <= 100000 for 'sliding-log'"):
        _row.checked(quota("100001/d", "sliding-log"))
    for algorithm in set(ALGORITHMS) - {"sliding-log"}:
        _row.checked(quota("100001/d", algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_largest_limits_either_fit_or_are_refused(algorithm):
    largest = 100_000 if algorithm == "sliding-log" else LARGEST
    plan = Quota([Limit(largest, 1e11)], algorithm)
    try:
        verdict, kept = _row.hit(b"", _row.checked(plan), 50_000, START)
    except ConfigurationError:
        return
    assert verdict.allowed
    assert kept.expires < 1 << 63
    assert _row.peek(kept.state, plan, 1, START).allowed
