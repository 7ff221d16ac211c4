"""Keys whose loads are held off, for a second each, and never too many of them."""

from __future__ import annotations

import pytest

from scalekit.cache import _holdoff
from scalekit.cache._holdoff import Holdoff


def test_a_key_is_held_for_a_second():
    holdoff = Holdoff()
    assert not holdoff.holds("k", 5.0)
    holdoff.begin("k", 5.0)
    assert holdoff.holds("k", 5.0)
    assert holdoff.holds("k", 5.999)
    assert not holdoff.holds("k", 6.0)
    assert not holdoff.holds("other", 5.0)


def test_beginning_again_holds_longer():
    holdoff = Holdoff()
    holdoff.begin("k", 5.0)
    holdoff.begin("k", 5.5)
    assert holdoff.holds("k", 6.4)
    assert not holdoff.holds("k", 6.5)


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setattr(_holdoff, "_MOST", 4)


@pytest.mark.usefixtures("four")
def test_what_is_over_makes_room_for_the_next():
    holdoff = Holdoff()
    for key in "abc":
        holdoff.begin(key, 5.0)
    holdoff.begin("d", 5.5)
    holdoff.begin("e", 6.0)
    assert sorted(holdoff._until) == ["d", "e"]
    assert holdoff.holds("d", 6.0)


@pytest.mark.usefixtures("four")
def test_more_than_it_may_hold_are_all_let_go():
    holdoff = Holdoff()
    for number in range(50):
        holdoff.begin(str(number), 5.0)
        assert len(holdoff._until) <= 4
        assert holdoff.holds(str(number), 5.0)
    assert not holdoff.holds("0", 5.0)


def test_thousands_of_failing_keys_stay_bounded():
    holdoff = Holdoff()
    for number in range(10_000):
        holdoff.begin(str(number), number / 1e6)
    assert len(holdoff._until) <= _holdoff._MOST
