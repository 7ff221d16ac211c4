"""How entries lie on the server: a frame is read as it was written, or not at all."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scalekit.cache import MsgspecSerializer
from scalekit.cache._frame import (
    PREFIX,
    TOKEN_BYTES,
    Times,
    all_living,
    bulk,
    entry_name,
    living,
    load_name,
    opened,
    sealed,
    tag_name,
    tags_of,
    unbulk,
)
from scalekit.redis._slots import slot_of_key


class Plain:
    """Any bytes are a value."""

    fingerprint = b"12345678"

    def dumps(self, value, /):
        return value

    def loads(self, data, /):
        return data


PLAIN = Plain()
NAMES = st.lists(st.binary(max_size=40), max_size=4, unique=True)
TEXTS = st.text(st.characters(codec=None), max_size=200)
TIMES = Times(1_000.0, 1_030.0, 1_060.0, 0.5)


def token(i):
    return bytes([i]) * TOKEN_BYTES


def tags(names):
    return tags_of(map(bulk, names), map(token, range(len(names))))


def framed(value, names, *, fingerprint=PLAIN.fingerprint, times=TIMES):
    return sealed(value, fingerprint, map(bulk, names), times) + tags(names)


def read(blob, names, *, wall=1_000.0, tail=None):
    """Read one entry, in both ways there are."""
    expected = tags(names) if tail is None else tail
    one = living(PLAIN, blob, expected, 5.0, wall)
    several = all_living(PLAIN, [blob], expected, 5.0, wall)
    assert (one and facts(one)) == (several and facts(several[0]))
    return one


def facts(entry):
    return entry.value, entry.expires, entry.fresh_until, entry.load_seconds, entry.snapshot


@given(st.binary(), NAMES)
@example(b"x" * 100_000, [b"a"])
def test_what_is_sealed_is_read(value, names):
    blob = framed(value, names)
    assert facts(read(blob, names)) == (value, 65.0, 35.0, 0.5, None)
    frame = opened(blob)
    assert frame.tags == [(bulk(name), token(i)) for i, name in enumerate(names)]
    assert frame.written == tags(names)


@given(st.binary(max_size=30), NAMES, st.data())
def test_a_damaged_frame_is_not_alive(value, names, data):
    blob = framed(value, names)
    tokens = {bulk(name): token(i) for i, name in enumerate(names)}
    at = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytes([blob[at] ^ data.draw(st.integers(1, 255))])
    for damaged in (blob[:at] + flipped + blob[at + 1 :], blob[:at], blob + b"x"):
        assert read(damaged, names) is None
        frame = opened(damaged)
        assert frame is None or not frame.alive(tokens) or read(damaged, None, tail=frame.written) is None


@given(st.lists(st.tuples(st.binary(max_size=30), NAMES, st.floats(900, 1_100)), min_size=1, max_size=5))
def test_several_are_read_as_one_by_one(entries):
    blobs = [framed(value, names, times=Times(w, w + 1, w + 60, 0.5)) for value, names, w in entries]
    expected = b"".join(tags(names) for _, names, _ in entries)
    found = all_living(PLAIN, blobs, expected, 5.0, 1_000.0)
    assert [facts(entry) for entry in found] == [
        facts(read(blob, names)) for blob, (_, names, _) in zip(blobs, entries, strict=True)
    ]
    for broken in ([*blobs[:-1], blobs[-1][:-1]], [b"", *blobs[1:]], [*blobs, framed(b"", [b"more"])]):
        assert all_living(PLAIN, broken, expected, 5.0, 1_000.0) is None
    damaged = bytes([blobs[0][0] ^ 1]) + blobs[0][1:]
    assert all_living(PLAIN, [damaged, *blobs[1:]], expected, 5.0, 1_000.0) is None


@given(st.binary(), NAMES, st.data())
def test_the_tags_of_bytes_of_others_are_bulk_strings(data, names, more):
    """They go into commands as they are: anything else would be a command of its own."""
    tail = tags(names)
    at = more.draw(st.integers(0, len(tail)))
    for blob in (data, framed(b"", []) + tail[:at] + data + tail[at:]):
        frame = opened(blob)
        assert frame is None or all(piece == bulk(unbulk(piece)) for piece, _ in frame.tags)


NO_BULK_STRINGS = (b"$5\r\nabcdeXX", b"%1\r\na\r\n", b"$-1\r\n", b"$1\r\na", b"$01\r\na\r\n", b"$1\r\nab\r\n")


@pytest.mark.parametrize("names", NO_BULK_STRINGS)
def test_what_is_no_bulk_string_is_not_opened(names):
    assert opened(framed(b"", []) + names + token(1)) is None


def test_another_type_is_not_read():
    assert read(framed(b"", [], fingerprint=b"abcdefgh"), []) is None
    assert opened(None) is None


def test_another_format_is_not_read():
    blob = framed(b"value", [b"a"])
    at = blob.index(b"SKC\x03")
    for version in (1, 2, 4):
        other = blob[: at + 3] + bytes([version]) + blob[at + 4 :]
        assert opened(other) is None
        assert read(other, [b"a"]) is None


def test_the_second_format_is_not_read():
    """The magic was in front, and the names stood behind the tokens."""
    head = struct.pack(">4sI8sQQQQI", b"SKC\x02", 0, PLAIN.fingerprint, 1_000, 60_000, 60_000, 0, 1)
    blob = head + token(0) + struct.pack(">H", 1) + b"a" + b"value"
    assert opened(blob) is None
    assert read(blob, [b"a"]) is None


def test_tags_must_be_the_same_from_the_first_to_the_last():
    """A slot that names the last of an entry's tags alone must not find it alive by that one."""
    blob = framed(b"", [b"a", b"b"])
    last = tags_of([bulk(b"b")], [token(1)])
    assert blob.endswith(last)
    assert read(blob, None, tail=last) is None
    assert read(blob, [b"a"]) is None
    assert read(blob, [b"a", b"b", b"c"]) is None


def test_an_entry_that_lost_its_tags_does_not_live_without_them():
    blob = framed(b"value", [b"a", b"b"])
    for kept in (b"", tags([b"a"])):
        cut = blob[: len(blob) - len(tags([b"a", b"b"])) + len(kept)]
        assert opened(cut).written == kept
        assert read(cut, None, tail=kept) is None


def test_a_frame_lives_while_every_token_is_the_same():
    a, b, c = map(bulk, (b"a", b"b", b"c"))
    frame = opened(framed(b"", [b"a", b"b"]))
    assert frame.alive({a: token(0), b: token(1), c: None}) is True
    assert frame.alive({a: token(0), b: token(2)}) is False
    assert frame.alive({a: None, b: token(1)}) is False, "a lost token has changed"
    assert frame.alive({a: None}) is False
    assert frame.alive({a: token(0)}) is None
    assert opened(framed(b"", [])).alive({}) is True


@given(st.floats(0, 10**6))
@example(1_000.0)
def test_what_is_left_is_within_its_life_whatever_the_clocks_say(wall):
    blob = framed(b"", [])
    entry = read(blob, [], wall=wall)
    assert 5.0 <= entry.expires <= 65.0 + 1e-6
    assert entry.expires - entry.fresh_until == pytest.approx(30.0)
    assert read(blob, [], wall=1_020.0).expires == pytest.approx(45.0)


@given(TEXTS, TEXTS)
@example("x" * 128, "x" * 129)
@example("\ud83d\udd11", "🔑")
@example("a", "a\0")
@example("{a}", "a")
@example("}", "")
def test_names_differ_where_the_keys_do_and_are_short(first, second):
    names = [name(key) for key in (first, second) for name in (entry_name, load_name, tag_name)]
    assert len(set(names)) == (3 if first == second else 6)
    assert all(name.startswith(PREFIX.encode()) and len(name) <= 135 for name in names)


@given(TEXTS)
@example("")
@example("}")
@example("}}{")
@example("{")
@example("{}")
@example("a{b}c")
@example("a}b{c}")
@example("x" * 1_000)
def test_an_entry_and_the_token_of_its_loads_lie_in_one_slot(key):
    assert slot_of_key(entry_name(key)) == slot_of_key(load_name(key))


def test_keys_are_spread_over_the_slots():
    assert len({slot_of_key(entry_name(f"shop:{i}")) for i in range(1_000)}) > 900


def test_a_long_name_cannot_be_forged_by_a_short_one():
    hashed = entry_name("x" * 1_000)
    forged = hashed.decode().partition("#")[2]
    assert hashed not in {entry_name(forged), entry_name("#" + forged)}
    assert entry_name("shop:k") == b"sk:e:{shop:k}"
    assert (load_name("shop:k"), tag_name("shop:")) == (b"sk:l:{shop:k}", b"sk:t:shop:")


def test_what_the_serializer_cannot_read_is_not_read():
    serializer = MsgspecSerializer(Any)
    for value, found in ((serializer.dumps({"a": 1}), {"a": 1}), (b"\xc1", None)):
        blob = sealed(value, serializer.fingerprint, (), TIMES)
        one = living(serializer, blob, b"", 5.0, 1_000.0)
        assert (one and one.value) == found
        several = all_living(serializer, [blob, blob], b"", 5.0, 1_000.0)
        assert (several and [entry.value for entry in several]) == (found and [found, found])
