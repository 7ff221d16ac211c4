"""The commands of the stores, for one server and for a cluster: the same names, asked for in other ways.

One server is asked for many keys in one command. The keys of a command to a cluster must lie in one slot, so
there each has its own, and the link sends those of a node together. They are not even put together where
they could be, as an entry and the token of its loads: while a slot moves from node to node, commands of
several keys are refused.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from scalekit.cache._frame import TOKEN_BYTES, bulk, entry_name, load_name, tag_name, unbulk
from scalekit.errors import ConfigurationError
from scalekit.redis._packed import Packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._time import Clock
    from scalekit.redis._packed import Command

TOKEN_KEPT = 3_600_000
"""Milliseconds for which a token is kept at least, once made: for so long a load may take."""
_KEPT = b"$2\r\nPX\r\n" + bulk(b"%d" % TOKEN_KEPT)

Piece: TypeAlias = bytes
"""The name of a key as a bulk string, ready for a command."""

_CACHED = 4_096


class Pieces:
    """The names of keys and tags, those used lately kept: to make one takes as long as to judge an entry."""

    def __init__(self) -> None:
        self.entry = lru_cache(_CACHED)(_entry_piece)
        self.tag = lru_cache(_CACHED)(_tag_piece)

    def load(self, key: str) -> Piece:
        return bulk(load_name(key))


def _entry_piece(key: str) -> Piece:
    return bulk(entry_name(key))


def _tag_piece(tag: str) -> Piece:
    return bulk(tag_name(tag))


def token() -> bytes:
    """Return a new token, which nobody has had before."""
    return os.urandom(TOKEN_BYTES)


def set_token(piece: Piece, *, anew: bool = False) -> Packed:
    """Return the command that makes a token where none is, or in any case; what is there is read after it.

    Only Redis 7 takes NX and GET together.
    """
    words = (
        b"*5\r\n$3\r\nSET\r\n%b$8\r\n%b\r\n%b" if anew else b"*6\r\n$3\r\nSET\r\n%b$8\r\n%b\r\n$2\r\nNX\r\n%b"
    )
    return Packed("SET", unbulk(piece), words % (piece, token(), _KEPT))


class Layout(Protocol):
    """How keys are asked for and taken away."""

    def gets(self, pieces: Sequence[Piece], /) -> list[Command]:
        """Return the commands that ask for the values of `pieces`."""
        ...

    def values(self, replies: list[Any], count: int, /) -> list[bytes | None]:
        """Return the `count` values in the replies to a pipeline that ended with `gets`."""
        ...

    def deletes(self, keys: Sequence[str], /) -> list[Command]:
        """Return the commands that take away entries and the tokens of their loads."""
        ...

    def invalidates(self, tags: Sequence[str], /) -> list[Command]:
        """Return the commands that take away the tokens of `tags`."""
        ...


class OneServer:
    """One command for all."""

    def gets(self, pieces: Sequence[Piece], /) -> list[Command]:
        wire = b"*%d\r\n$4\r\nMGET\r\n%b" % (len(pieces) + 1, b"".join(pieces))
        return [Packed("MGET", b"", wire)]

    def values(self, replies: list[Any], _count: int, /) -> list[bytes | None]:
        values: list[bytes | None] = replies[-1]
        return values

    def deletes(self, keys: Sequence[str], /) -> list[Command]:
        return [("UNLINK", *map(load_name, keys), *map(entry_name, keys))]

    def invalidates(self, tags: Sequence[str], /) -> list[Command]:
        return [("UNLINK", *map(tag_name, tags))]


class ManyServers:
    """One command for each key; but a deletion is one for two, lest a load be stored in between."""

    def __init__(self) -> None:
        self._get = lru_cache(2 * _CACHED)(_get)

    def gets(self, pieces: Sequence[Piece], /) -> list[Command]:
        return list(map(self._get, pieces))

    def values(self, replies: list[Any], count: int, /) -> list[bytes | None]:
        return replies[len(replies) - count :]

    def deletes(self, keys: Sequence[str], /) -> list[Command]:
        return [("UNLINK", load_name(key), entry_name(key)) for key in keys]

    def invalidates(self, tags: Sequence[str], /) -> list[Command]:
        return [("UNLINK", tag_name(tag)) for tag in tags]


def _get(piece: Piece) -> Packed:
    return Packed("GET", unbulk(piece), b"*2\r\n$3\r\nGET\r\n" + piece)


def layout(*, cluster: bool) -> Layout:
    """Return how keys are asked for: on one server, or on a cluster."""
    return ManyServers() if cluster else OneServer()


def checked_clock(wall_clock: Clock) -> Clock:
    """Return `wall_clock` if it can be called; `ConfigurationError` otherwise."""
    if not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "as a callable that returns seconds")
    return wall_clock
