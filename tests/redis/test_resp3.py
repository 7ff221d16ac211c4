"""The reader of RESP3: every kind of message, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.redis._resp3 import Push, Reader, Refusal, packed

MESSAGES = [
    (b"+OK\r\n", b"OK"),
    (b":42\r\n", b"42"),
    (b"$3\r\nabc\r\n", b"abc"),
    (b"$2\r\n\r\n\r\n", b"\r\n"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"#t\r\n", b"t"),
    (b",1.5\r\n", b"1.5"),
    (b"(12345678901234567890\r\n", b"12345678901234567890"),
    (b"=7\r\ntxt:abc\r\n", b"abc"),
    (b"*0\r\n", []),
    (b"*2\r\n$1\r\na\r\n*1\r\n_\r\n", [b"a", [None]]),
    (b"~1\r\n+a\r\n", [b"a"]),
    (b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", [b"a", b"1", b"b", [b"2"]]),
    (b"|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n", b"x"),
]


@pytest.mark.parametrize(("wire", "message"), MESSAGES)
def test_every_kind(wire, message):
    assert list(Reader().feed(wire)) == [message]


def test_errors_and_pushes_are_told_from_the_rest():
    wire = b"-ERR no\r\n!5\r\nERR a\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n"
    short, long, push = Reader().feed(wire)
    assert (short, long, push) == ("ERR no", "ERR a", [b"invalidate", None])
    assert isinstance(short, Refusal)
    assert isinstance(long, Refusal)
    assert isinstance(push, Push)


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.data())
def test_cut_anywhere_it_is_the_same(messages, data):
    wire = b"".join(sent for sent, _ in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader, read = Reader(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        read += reader.feed(wire[start:end])
    assert read == [message for _, message in messages]


@pytest.mark.parametrize("wire", [b"HTTP/1.1 400 Bad Request\r\n", b"$x\r\n", b"\r\n"])
def test_another_protocol_is_refused(wire):
    with pytest.raises(ValueError):
        list(Reader().feed(wire))


def test_commands_are_packed():
    assert (
        packed((b"PING",), (b"SET", b"a", b"\r\n"))
        == b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n"
    )
