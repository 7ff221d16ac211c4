"""Which node has a key, and where a command goes next, without any node."""

from __future__ import annotations

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from scalekit.redis._packed import Packed
from scalekit.redis._slots import Scatter, SlotMap, in_turn, redirection, slot_of, slot_of_key

ASKED = ("10.0.0.1", 6379)
A, B, C = (("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3))


def slots(*owners):
    """A map in which the first owner has the first part of the slots, and so on; None leaves a part out."""
    bounds = [round(16_384 * i / len(owners)) for i in range(len(owners) + 1)]
    return SlotMap(
        [
            [bounds[i], bounds[i + 1] - 1, [owner[0].encode(), owner[1], b"id"]]
            for i, owner in enumerate(owners)
            if owner is not None
        ],
        ASKED,
    )


@given(st.binary())
@example(b"{a}")
@example(b"x{}{a}")
@example(b"x{{a}}")
@example(b"}{a")
@example(b"a}b{c}d")
def test_a_keys_slot_is_what_redis_py_says(key):
    assert slot_of_key(key) == key_slot(key)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), "k"),
        (("GET", b"k"), "k"),
        (("SET", "ключ", "v", "NX"), "ключ"),
        (("MGET", "{k}1", b"{k}2"), "{k}"),
        (("UNLINK", "k"), "k"),
        (("EVALSHA", "sha", 2, "{k}1", "{k}2", "argument"), "{k}"),
        (("EVAL", "script", 1, "k", "another"), "k"),
        (Packed("MGET", b"k", b"..."), "k"),
    ],
)
def test_the_slot_of_a_command_is_that_of_its_keys(command, key):
    assert slot_of(command) == key_slot(key.encode())


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("GET",),
        ("MGET",),
        ("MGET", "a", "b"),
        ("EVAL", "script", 0),
        ("EVAL", "script", "1", "k"),
        ("EVAL", "script"),
        ("XREAD", "STREAMS", "s", "0"),
        ("get", "k"),
        (b"GET", "k"),
        ("GET", 5),
        ("GET", None),
        ("GET", "\ud800"),
    ],
)
def test_what_is_not_known_for_certain_is_left_to_redis_py(command):
    assert slot_of(command) is None


def test_a_map_knows_the_master_of_every_slot_and_every_node():
    reply = [
        [0, 99, [b"10.0.0.1", 1, b"id", []], [b"10.0.0.2", 2, b"id", []]],
        [100, 100, ["10.0.0.3", 3, "id"]],
        [200, 16_383, [b"", 4, b"id"], [None, 5, b"id"], [b"?", 6, b"id"]],
    ]
    known = SlotMap(reply, ASKED)
    assert [known.owner(slot) for slot in (0, 99, 100)] == [A, A, C]
    assert known.owner(101) is None
    assert known.owner(16_383) == ("10.0.0.1", 4), "a node that does not know its host is where it was asked"
    assert known.nodes == (A, B, C, ("10.0.0.1", 4), ("10.0.0.1", 5), ("10.0.0.1", 6))
    known.moved(101, B)
    assert (known.owner(101), known.owner(102)) == (B, None)
    mapped = SlotMap(reply, ASKED, lambda address: ("outside", address[1]))
    assert mapped.owner(100) == ("outside", 3)
    assert SlotMap().nodes == ()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (redis.ResponseError("MOVED 7 10.0.0.2:2"), (7, "10.0.0.2", 2, False)),
        (redis.exceptions.MovedError("7 10.0.0.2:2"), (7, "10.0.0.2", 2, False)),
        (redis.exceptions.AskError("7 10.0.0.2:2"), (7, "10.0.0.2", 2, True)),
        (redis.ResponseError("ASK 7 ::1:6379"), (7, "::1", 6379, True)),
        (redis.ResponseError("MOVED 7 :6379"), (7, "", 6379, False)),
        (redis.ResponseError("WRONGTYPE MOVED 7 a:1"), None),
        (redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"), None),
        (TimeoutError(), None),
    ],
)
def test_a_redirection_is_read_whatever_the_parser_made_of_it(error, told):
    found = redirection(error)
    assert (found and tuple(found)) == told


def at(name):
    """A key of each third of the slots."""
    thirds = {"low": range(5_000), "middle": range(6_000, 10_000), "high": range(12_000, 16_384)}
    return next(key for key in (f"{name}{i}" for i in range(10**4)) if key_slot(key.encode()) in thirds[name])


LOW, MIDDLE, HIGH = at("low"), at("middle"), at("high")
COMMANDS = [("GET", LOW), ("GET", HIGH), ("PING",), ("GET", MIDDLE), ("GET", LOW)]


def sent(scatter):
    return [(errand.address, errand.commands, errand.places) for errand in scatter.errands()]


def test_commands_go_to_their_nodes_together():
    scatter = Scatter(slots(B, None, A), COMMANDS)
    assert (scatter.others, scatter.orphans) == ([2], [3])
    assert sent(scatter) == [(A, [COMMANDS[1]], [1]), (B, [COMMANDS[0], COMMANDS[4]], [0, 4])]
    for place, address in ((0, B), (1, A), (4, B)):
        assert scatter.take(place, place, address)
    assert sent(scatter) == []
    assert scatter.replies == [0, 1, None, None, 4]


def test_who_is_sent_elsewhere_goes_there_and_the_map_learns():
    known = slots(A, B)
    scatter = Scatter(known, COMMANDS)
    sent(scatter)
    low, high = key_slot(LOW.encode()), key_slot(HIGH.encode())
    assert not scatter.take(0, redis.ResponseError(f"MOVED {low} {C[0]}:{C[1]}"), A)
    assert scatter.take(4, b"first", A)
    assert not scatter.take(1, redis.ResponseError(f"ASK {high} {C[0]}:{C[1]}"), B)
    assert sent(scatter) == [(C, [COMMANDS[0], ("ASKING",), COMMANDS[1]], [0, -1, 1])]
    assert known.owner(low) == C
    assert known.owner(high) == B, "ASK is for this once"


def test_an_error_that_is_no_redirection_is_the_reply():
    scatter = Scatter(slots(A), COMMANDS[:1])
    sent(scatter)
    error = redis.ResponseError("WRONGTYPE")
    assert scatter.take(0, error, A)
    assert scatter.replies == [error]


def test_who_is_sent_to_and_fro_comes_to_an_end():
    scatter = Scatter(slots(A), COMMANDS[:1])
    turns = 0
    while errands := scatter.errands():
        turns += 1
        other = B if errands[0].address == A else A
        error = redis.ResponseError(f"MOVED {key_slot(LOW.encode())} {other[0]}:{other[1]}")
        scatter.take(0, error, errands[0].address)
    assert turns == 5
    assert scatter.replies == [error]


def test_whom_to_ask_in_which_turn():
    given = ("given", 1)
    turns = list(in_turn([B, C], [A, B, C, given, B], {B}))
    assert [address for address, _ in turns[:1]] == [C], "to ask whom we are connected to is quickest"
    assert {address for address, _ in turns[1:3]} == {A, given}
    assert turns[3] == (B, 1.0)
    assert [share for _, share in turns[:3]] == [0.6] * 3
    assert list(in_turn([], [], ())) == []
