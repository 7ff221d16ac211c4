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
    bulk,
    end_of,
    entry_name,
    living,
    load_name,
    opened,
    sealed,
    tag_name,
    tags_of,
    token_names,
    unbulk,
)
from scalekit.redis._slots import slot_of_key
from scalekit.testing._cache_probe import place


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
    return sealed(value, times) + tags(names) + end_of(fingerprint)


def read(blob, names, *, wall=1_000.0, tail=None):
    return living(blob, tags(names) if tail is None else tail, PLAIN, 5.0, wall)


@given(st.binary(), NAMES)
@example(b"x" * 100_000, [b"a"])
def test_what_is_sealed_is_read(value, names):
    blob = framed(value, names)
    entry = read(blob, names)
    assert (entry.value, entry.expires, entry.fresh_until, entry.load_seconds) == (value, 65.0, 35.0, 0.5)
    assert entry.snapshot is None
    frame = opened(blob, fingerprint=PLAIN.fingerprint)
    assert frame.tags == [(bulk(name), token(i)) for i, name in enumerate(names)]
    assert frame.entry(PLAIN.loads, 5.0, 1_000.0).value == value


@given(st.binary(max_size=30), NAMES, st.data())
def test_a_damaged_frame_is_not_alive(value, names, data):
    blob = framed(value, names)
    tokens = {bulk(name): token(i) for i, name in enumerate(names)}
    at = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytes([blob[at] ^ data.draw(st.integers(1, 255))])
    for damaged in (blob[:at] + flipped + blob[at + 1 :], blob[:at], blob + b"x"):
        assert read(damaged, names) is None
        frame = opened(damaged, fingerprint=PLAIN.fingerprint)
        assert frame is None or not frame.alive(tokens) or frame.entry(PLAIN.loads, 5.0, 1_000.0) is None


@given(st.binary(), NAMES, st.data())
def test_the_tags_of_bytes_of_others_are_bulk_strings(data, names, more):
    """They go into commands as they are: anything else would be a command of its own."""
    tail = tags(names)
    at = more.draw(st.integers(0, len(tail)))
    for blob in (data, sealed(b"", TIMES) + tail[:at] + data + tail[at:] + end_of(PLAIN.fingerprint)):
        frame = opened(blob, fingerprint=PLAIN.fingerprint)
        assert frame is None or all(piece == bulk(unbulk(piece)) for piece, _ in frame.tags)


@pytest.mark.parametrize(
    "names", [b"$5\r\nabcdeXX", b"%1\r\na\r\n", b"$-1\r\n", b"$1\r\na", b"$01\r\na\r\n", b"$1\r\nab\r\n"]
)
def test_what_is_no_bulk_string_is_not_opened(names):
    blob = sealed(b"", TIMES) + names + token(1) + end_of(PLAIN.fingerprint)
    assert opened(blob, fingerprint=PLAIN.fingerprint) is None


def test_another_type_is_not_opened():
    blob = framed(b"", [], fingerprint=b"abcdefgh")
    assert opened(blob, fingerprint=PLAIN.fingerprint) is None
    assert read(blob, []) is None
    assert opened(None, fingerprint=PLAIN.fingerprint) is None


def test_another_format_is_not_opened():
    blob = framed(b"value", [b"a"])
    for version in (1, 2, 4):
        other = blob[:-1] + bytes([version])
        assert opened(other, fingerprint=PLAIN.fingerprint) is None
        assert read(other, [b"a"]) is None


def test_the_second_format_is_not_opened():
    """The magic was in front, and the names stood behind the tokens."""
    head = struct.pack(">4sI8sQQQQI", b"SKC\x02", 0, PLAIN.fingerprint, 1_000, 60_000, 60_000, 0, 1)
    blob = head + token(0) + struct.pack(">H", 1) + b"a" + b"value"
    assert opened(blob, fingerprint=PLAIN.fingerprint) is None
    assert read(blob, [b"a"]) is None


def test_tags_must_be_the_same_to_the_last():
    """A slot that names the last of an entry's tags alone must not find it alive by that one."""
    blob = framed(b"", [b"a", b"b"])
    last = tags_of([bulk(b"b")], [token(1)])
    assert blob.endswith(last + end_of(PLAIN.fingerprint))
    assert read(blob, None, tail=last) is None
    assert read(blob, [b"a", b"b", b"c"]) is None


def test_a_frame_lives_while_every_token_is_the_same():
    a, b, c = map(bulk, (b"a", b"b", b"c"))
    frame = opened(framed(b"", [b"a", b"b"]), fingerprint=PLAIN.fingerprint)
    assert frame.alive({a: token(0), b: token(1), c: None}) is True
    assert frame.alive({a: token(0), b: token(2)}) is False
    assert frame.alive({a: None, b: token(1)}) is False, "a lost token has changed"
    assert frame.alive({a: None}) is False
    assert frame.alive({a: token(0)}) is None
    assert opened(framed(b"", []), fingerprint=PLAIN.fingerprint).alive({}) is True


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
    assert token_names(place("shop:k", "shop:")) == [b"sk:l:{shop:k}", b"sk:t:shop:"]


def test_a_serializers_values_come_back():
    serializer: Any = MsgspecSerializer(Any)
    blob = sealed(serializer.dumps({"a": 1}), TIMES) + end_of(serializer.fingerprint)
    assert living(blob, b"", serializer, 5.0, 1_000.0).value == {"a": 1}
    assert read(sealed(b"\xc1", TIMES) + end_of(serializer.fingerprint), []) is None
