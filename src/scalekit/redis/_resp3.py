"""RESP3 for a connection that listens: commands as bytes, and replies and pushes out of bytes.

redis-py connects and authenticates; from then on the bytes are read here. Its parsers hand out pushes in
four ways (5.0 with hiredis takes them for replies, 8 drops those for which no handler is set), and none can
be fed what a selector has read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2}
_LENGTHS = frozenset([b"$", b"=", b"!"])
_WORDS = frozenset([b"+", b":", b"(", b",", b"#"])


class Push(list[object]):
    """What the server sends on its own account; the first item says what it is."""


class Refusal(str):
    """An error that the server sent as its reply."""

    __slots__ = ()


class _Incomplete(Exception):  # a step of the parser's own
    pass


def packed(*commands: tuple[bytes, ...]) -> bytes:
    """Return `commands` as they go over the wire."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in command]
    return b"".join(parts)


class Reader:
    """Cuts a stream into messages: `bytes`, `None`, lists, a `Push` or a `Refusal`.

    Numbers, booleans and simple strings stay bytes; a map is the list of its keys and values.
    """

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> Iterator[object]:
        """Yield the messages that `data` completes; `ValueError` for what is not RESP3."""
        self._buffer += data
        while self._buffer:
            self._at = 0
            try:
                message = self._message()
            except _Incomplete:
                return
            del self._buffer[: self._at]
            yield message

    def _message(self) -> object:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in _WORDS:
            return rest
        if kind == b"_":
            return None
        if kind == b"-":
            return Refusal(rest.decode("utf-8", "replace"))
        if kind in _LENGTHS:
            return self._text(kind, int(rest))
        if kind in _AGGREGATES:
            return self._items(kind, int(rest))
        if kind == b"|":  # an attribute: remarks on the message that follows
            self._items(b"%", int(rest))
            return self._message()
        msg = f"a server does not speak RESP3: {line[:40]!r}"
        raise ValueError(msg)

    def _line(self) -> bytes:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            raise _Incomplete
        line = bytes(self._buffer[self._at : end])
        self._at = end + 2
        return line

    def _text(self, kind: bytes, length: int) -> object:
        if length < 0:
            return None
        end = self._at + length
        if len(self._buffer) < end + 2:
            raise _Incomplete
        text = bytes(self._buffer[self._at : end])
        self._at = end + 2
        if kind == b"!":
            return Refusal(text.decode("utf-8", "replace"))
        return text[4:] if kind == b"=" else text

    def _items(self, kind: bytes, count: int) -> object:
        if count < 0:
            return None
        items = [self._message() for _ in range(count * _AGGREGATES[kind])]
        return Push(items) if kind == b">" else items
