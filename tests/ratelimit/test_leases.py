"""The rule of places, and that the script on Redis is the same rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit._leases import ADMITTED, Leases
from scalekit.ratelimit.redis._concurrency_call import operands, pause
from scalekit.ratelimit.redis._concurrency_script import script
from scalekit.redis import RedisLink
from scalekit.redis._script import run

PATIENCE = 2_000_000
TOLD = script("local now = tonumber(table.remove(ARGV))\nlocal MARGIN = 3600000\n")


def test_places_are_given_out_and_taken_back():
    leases = Leases()
    assert [leases.acquire(who, 2, 10, 10, 0) for who in "abc"] == [ADMITTED, ADMITTED, 1]
    leases.release("a")
    assert leases.acquire("c", 2, 10, 10, 0) == ADMITTED
    assert leases.acquire("d", 2, 10, 10, 0) == 1


def test_nobody_overtakes_who_waits():
    leases = Leases()
    leases.acquire("a", 1, 10, 10, 0)
    assert leases.acquire("b", 1, 10, 10, 0) == 1
    leases.release("a")
    assert leases.acquire("c", 1, 10, 10, 0) == 2
    assert leases.acquire("b", 1, 10, 10, 0) == ADMITTED
    leases.release("b")
    assert leases.acquire("c", 1, 10, 10, 0) == ADMITTED


def test_a_lease_ends_when_it_was_said_to():
    leases = Leases()
    leases.acquire("a", 1, 10, 10, 0)
    assert leases.acquire("b", 1, 20, 20, 9) == 1
    assert leases.acquire("b", 1, 20, 20, 10) == ADMITTED
    assert not leases.renew("a", 30, 10)
    assert leases.renew("b", 30, 19)
    assert leases.acquire("c", 1, 40, 40, 29) == 1


def test_who_does_not_ask_again_loses_its_rank():
    leases = Leases()
    leases.acquire("a", 1, 100, 0, 0)
    leases.acquire("b", 1, 100, 10, 0)
    assert leases.acquire("c", 1, 100, 30, 9) == 2
    assert leases.acquire("c", 1, 100, 30, 10) == 1
    assert leases.acquire("b", 1, 100, 30, 10) == 2


def test_who_asks_again_keeps_its_rank():
    leases = Leases()
    leases.acquire("a", 1, 100, 0, 0)
    for now in (0, 9, 18):
        assert leases.acquire("b", 1, 100, now + 10, now) == 1
        assert leases.acquire("c", 1, 100, 100, now) == 2


def test_who_asks_the_script_again_keeps_its_rank(redis_server, key_prefix):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        ranks = []
        for now in (10**15, 10**15 + 1_500_000, 10**15 + 3_000_000):
            calls = [(*operands("acquire", key_prefix, who, 1, 10**9), now) for who in "abc"]
            ranks.append([rank for rank, _ in run(link, TOLD, calls)])
        assert ranks == [[0, 1, 2]] * 3


def test_a_release_is_of_ones_own_place_only():
    leases = Leases()
    leases.acquire("a", 1, 10, 10, 0)
    leases.acquire("b", 1, 20, 20, 10)
    leases.release("a")
    leases.release("a")
    assert leases.acquire("c", 1, 30, 30, 11) == 1


@pytest.mark.parametrize(
    ("rank", "first_end", "seconds"),
    [(0, 5, 0.0), (1, 10**9, 0.01), (5, 10**9, 0.05), (999, 10**9, 0.2), (3, 4_000, 0.004), (3, 0, 0.001)],
)
def test_the_nearer_the_turn_the_sooner_it_asks(rank, first_end, seconds):
    assert pause(rank, first_end) == seconds


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "acquire", "acquire", "renew", "release"]),
        st.sampled_from("abcdef"),
        st.integers(1, 3),
        st.sampled_from([1, 1_000_000, 5_000_000]),
        st.sampled_from([0, 1, 999_999, 1_000_000, 2_000_000]),
    ),
    min_size=5,
    max_size=40,
)


def test_the_script_is_the_rule(redis_server, key_prefix):
    with RedisLink.from_url(redis_server.url, timeout="5s") as link:
        number = 0

        @given(STEPS)
        def agrees(steps):
            nonlocal number
            number += 1
            key, leases, now = f"{key_prefix}{number}", Leases(), 1_700_000_000_000_000
            for operation, who, places, lease, passed in steps:
                now += passed
                (reply,) = run(link, TOLD, [(*operands(operation, key, who, places, lease), now)])
                if operation == "acquire":
                    rank = leases.acquire(who, places, now + lease, now + PATIENCE, now)
                    first_end = min(leases.next_end() or now + lease, now + lease) - now
                    assert reply == [rank, first_end]
                elif operation == "renew":
                    assert (reply == 1) is leases.renew(who, now + lease, now)
                else:
                    leases.expire(now)
                    assert (reply == 1) is (who in leases.holders or who in leases.line)
                    leases.release(who)
                there = bool(leases.holders or leases.line)
                assert link.execute("EXISTS", f"sk:cl:{key}") == there

        agrees()
