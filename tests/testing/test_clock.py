"""The manual clock."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.testing import ManualClock


def test_it_moves_only_when_told_to():
    clock = ManualClock()
    began = clock()
    real = time.monotonic()
    while time.monotonic() == real:
        pass
    assert clock() == began


def test_it_starts_away_from_zero():
    assert ManualClock()() == 1_000_000.0
    assert ManualClock(start=0)() == 0.0
    assert ManualClock(start=1_700_000_000.25)() == 1_700_000_000.25
    assert ManualClock(start="1h")() == 3_600.0


@pytest.mark.parametrize(
    ("duration", "step"),
    [("15m", 900.0), (0.5, 0.5), (timedelta(days=1), 86_400.0), ("250ms", 0.25), (0, 0.0), ("0s", 0.0)],
)
def test_it_advances_by_any_duration(duration, step):
    clock = ManualClock(start=10)
    assert clock.advance(duration) is None
    assert clock() == 10.0 + step


@pytest.mark.parametrize(
    "nonsense", [-1, -1e-9, timedelta(seconds=-1), "", "5 parsecs", float("nan"), None, True]
)
def test_it_goes_neither_back_nor_astray(nonsense):
    clock = ManualClock()
    with pytest.raises(ConfigurationError, match=r"^expected duration "):
        clock.advance(nonsense)
    assert clock() == 1_000_000.0
    with pytest.raises(ConfigurationError, match=r"^expected start "):
        ManualClock(start=nonsense)


def test_a_thousand_steps_of_a_tenth_are_a_hundred():
    clock = ManualClock(start=0)
    for _ in range(1_000):
        clock.advance(0.1)
    assert clock() == 100.0


@given(st.lists(st.integers(0, 10**9)))
def test_steps_add_up_exactly(microseconds):
    clock = ManualClock(start=0)
    for step in microseconds:
        clock.advance(f"{step}us")
    assert clock() == sum(microseconds) / 1_000_000


def test_threads_may_share_it():
    class Yielding(int):
        """A number that gives way to another thread whenever something is added to it."""

        __slots__ = ()

        def __add__(self, other):
            total = Yielding(int(self) + other)
            time.sleep(0)
            return total

    clock = ManualClock(start=0)
    clock._nanoseconds = Yielding(0)
    barrier = threading.Barrier(8, timeout=30)

    def advance():
        barrier.wait()
        for _ in range(20):
            clock.advance("1ms")

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert clock() == 0.16
