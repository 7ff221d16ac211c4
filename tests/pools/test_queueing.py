"""The formulas, against direct summation, published figures and a simulated queue."""

from __future__ import annotations

import heapq
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.pools import _queueing as queueing


def erlang_c_summed(connections: int, offered: Fraction) -> Fraction:
    """Erlang C as textbooks write it, in exact fractions."""
    top = offered**connections / math.factorial(connections) * connections / (connections - offered)
    return top / (sum(offered**k / math.factorial(k) for k in range(connections)) + top)


@given(st.integers(1, 40), st.fractions(Fraction(1, 100), Fraction(99, 100), max_denominator=100))
def test_erlang_c_is_the_textbook_sum(connections, utilisation):
    offered = utilisation * connections
    expected = float(erlang_c_summed(connections, offered))
    assert queueing.erlang_c(connections, float(offered)) == pytest.approx(expected, rel=1e-9)


def test_erlang_c_of_published_cases():
    assert queueing.erlang_c(1, 0.4) == pytest.approx(0.4)  # M/M/1: P(wait) = rho
    assert queueing.erlang_c(2, 1.0) == pytest.approx(1 / 3)  # M/M/2 at rho = 1/2
    assert queueing.erlang_c(11, 10.0) == pytest.approx(0.6821, abs=5e-5)
    assert queueing.erlang_c(3, 3.0) == queueing.erlang_c(3, 9.0) == 1.0


def test_erlang_c_of_thousands_of_connections_does_not_overflow():
    assert 0 < queueing.erlang_c(5_000, 4_900.0) < 1


@pytest.mark.parametrize(
    ("cv", "rho", "measured"),
    [(1, 0.63, 0.0076), (1, 0.79, 0.0322), (1, 0.91, 0.0620), (0, 0.60, 0.0050), (0, 0.84, 0.0172)],
)
def test_wait_is_near_what_a_real_pool_took(cv, rho, measured):
    # Eight connections to PostgreSQL, Poisson checkouts of 10 ms, exponential or constant.
    assert queueing.wait(8, rate=rho * 800, hold=0.010, cv=cv) == pytest.approx(measured, rel=0.35)


def test_wait_of_one_connection_is_the_closed_form():
    rate, hold = 50.0, 0.01
    expected = math.log(0.5 / 0.01) / (1 / hold - rate)
    assert queueing.wait(1, rate=rate, hold=hold) == pytest.approx(expected)
    assert queueing.wait(1, rate=rate, hold=hold, cv=0) == pytest.approx(expected / 2)
    assert queueing.wait(1, rate=rate, hold=hold, cv=3) == pytest.approx(expected * 5)


def test_wait_without_a_queue_and_without_an_end():
    assert queueing.wait(20, rate=1, hold=0.01) == 0.0
    assert queueing.wait(1, rate=100, hold=0.01) == math.inf
    assert queueing.wait(1, rate=400, hold=0.01) == math.inf


def simulated_p99(connections: int, rho: float, draw_hold, *, checkouts: int = 20_000) -> float:
    """First come, first served: each checkout takes the connection that is free first."""
    rng = random.Random(7)
    free = [0.0] * connections
    now, waits = 0.0, []
    for _ in range(checkouts):
        now += rng.expovariate(rho * connections)
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + draw_hold(rng))
        waits.append(start - now)
    return sorted(waits)[int(0.99 * checkouts)]


@pytest.mark.parametrize(
    ("cv", "draw_hold"),
    [
        (1.0, lambda rng: rng.expovariate(1.0)),
        (0.0, lambda _rng: 1.0),
        (0.5, lambda rng: rng.gammavariate(4, 0.25)),
    ],
    ids=["exponential", "constant", "gamma"],
)
@pytest.mark.parametrize(("connections", "rho"), [(4, 0.8), (8, 0.7)])
def test_wait_is_near_a_simulated_queue(cv, draw_hold, connections, rho):
    predicted = queueing.wait(connections, rate=rho * connections, hold=1.0, cv=cv)
    assert simulated_p99(connections, rho, draw_hold) == pytest.approx(predicted, rel=0.35)


@given(
    rate=st.floats(0.01, 20_000),
    hold=st.floats(1e-4, 1),
    cv=st.floats(0, 5),
    target=st.none() | st.floats(0, 1),
)
def test_connections_needed_is_the_smallest_that_will_do(rate, hold, cv, target):
    size = queueing.connections_needed(rate, hold, cv=cv, wait_p99=target)

    def will_do(connections: int) -> bool:
        calm = rate * hold / connections <= 0.8 * (1 + 1e-6)
        return calm and (
            target is None or queueing.wait(connections, rate=rate, hold=hold, cv=cv) <= target * 1.05
        )

    assert will_do(size)
    if size > 1:
        narrowly = rate * hold / (size - 1) > 0.8 * (1 - 1e-6)
        assert narrowly or not will_do(size - 1)


@given(st.floats(0.01, 2_000), st.floats(1e-3, 0.5), st.floats(0, 3), st.floats(0, 0.5), st.floats(1, 3))
def test_connections_needed_never_falls_when_the_load_grows(rate, hold, cv, target, factor):
    size = queueing.connections_needed(rate, hold, cv=cv, wait_p99=target)
    assert queueing.connections_needed(rate * factor, hold, cv=cv, wait_p99=target) >= size
    assert queueing.connections_needed(rate, hold * factor, cv=cv, wait_p99=target) >= size
    assert queueing.connections_needed(rate, hold, cv=cv * factor, wait_p99=target) >= size
    assert queueing.connections_needed(rate, hold, cv=cv, wait_p99=target * factor) <= size


def test_rounding_error_does_not_cost_a_connection():
    assert queueing.connections_for(400 * 0.012) == 6
    assert queueing.connections_for(8 * (0.1 + 0.2)) == 3  # 2.4000000000000004
    assert queueing.connections_for(0.1 + 0.2 + 0.5) == 1
    assert queueing.connections_for(0.81) == 2
    assert queueing.connections_for(1e-12) == 1


def test_knee_fits_the_measured_sweeps():
    assert queueing.knee(2, 0.005, 0.005) == 2  # processor-bound: flat from 2-3 connections on
    assert queueing.knee(2, 0.0058, 0.0025) == pytest.approx(4.64)  # mixed: 92 % at 6
