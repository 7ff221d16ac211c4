"""How entries lie on a server of bytes: names, tokens, and the frame around a value.

    sk:e:<key>  an entry         sk:t:<tag>  the token of a tag         sk:l:<key>  the token of a key's loads
    sk:o:<key>  who loads it

A name longer than `_LONGEST` bytes is replaced by its SHA-256, with "#" for the second colon.

An entry is *head*, one token for each of its tags, and *tail*, so that a script can put the tokens in:

    head   magic 4 | CRC-32 of what follows, tokens left out 4 | fingerprint 8 | written 8 | life 8 |
           fresh 8 | load 8 | tags 4
    tail   (length 2 | name)* | value

All integers are unsigned and big-endian; times are milliseconds, `written` on the writer's wall clock, `load`
in microseconds.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalekit.cache._entry import Slot

PREFIX = "sk:"
TOKEN_BYTES = 8

_LONGEST = 128
_MAGIC = b"SKC\x02"
_HEAD = struct.Struct(">4sI8sQQQQI")
_CHECKED = len(_MAGIC) + 4
_LENGTH = struct.Struct(">H")


def _name(kind: str, name: str) -> bytes:
    # Surrogates pass, for a key may be any text.
    raw = name.encode("utf-8", "surrogatepass")
    if len(raw) > _LONGEST:
        return f"{PREFIX}{kind}#{hashlib.sha256(raw).hexdigest()}".encode()
    return f"{PREFIX}{kind}:".encode() + raw


def entry_name(key: str) -> bytes:
    """Return where the entry of `key` lies."""
    return _name("e", key)


def load_name(key: str) -> bytes:
    """Return where the token of the loads of `key` lies."""
    return _name("l", key)


def tag_name(tag: str) -> bytes:
    """Return where the token of `tag` lies."""
    return _name("t", tag)


def lease_name(key: str) -> bytes:
    """Return where it says who has the lease of `key`."""
    return _name("o", key)


def tracked_prefixes() -> frozenset[bytes]:
    """Return what the names of all entries and of all tags' tokens begin with, and nothing else's do."""
    return frozenset(f"{PREFIX}{kind}".encode() for kind in "et")


def token_names(slot: Slot) -> list[bytes]:
    """Return where the tokens of a snapshot of `slot` lie, in its order."""
    return [load_name(slot.key), *map(tag_name, slot.tags)]


class Frame(NamedTuple):
    """An entry as it lies on the server; `tags` are the names and tokens it was written with.

    It is fresh for the first `fresh` milliseconds of its `life`, and its load took `load` microseconds.
    """

    tags: Sequence[tuple[bytes, bytes]]
    written: int
    life: int
    fresh: int
    load: int
    value: bytes

    def alive(self, tokens: Mapping[bytes, bytes | None]) -> bool:
        """Whether each of its tags still has the token that it was written with. A lost token has changed."""
        return all(tokens[name] == token for name, token in self.tags)

    def age(self, now: int) -> int:
        """Return how old it is, within what its life can be: clocks of two machines differ."""
        return min(max(now - self.written, 0), self.life)


def sealed(
    value: bytes, tags: Sequence[bytes], *, fingerprint: bytes, written: int, life: int, fresh: int, load: int
) -> tuple[bytes, bytes]:
    """Return head and tail of an entry with `tags`; their tokens belong in between."""
    tail = b"".join([part for name in tags for part in (_LENGTH.pack(len(name)), name)]) + value
    checked = _HEAD.pack(_MAGIC, 0, fingerprint, written, life, fresh, load, len(tags))[_CHECKED:]
    return _MAGIC + zlib.crc32(tail, zlib.crc32(checked)).to_bytes(4, "big") + checked, tail


def opened(data: bytes | None, *, fingerprint: bytes) -> Frame | None:
    """Return the entry in `data`; None if it is damaged, or of another format or type."""
    if data is None or len(data) < _HEAD.size:
        return None
    magic, checksum, found, written, life, fresh, load, count = _HEAD.unpack_from(data)
    start = _HEAD.size + TOKEN_BYTES * count
    if magic != _MAGIC or checksum != zlib.crc32(data[start:], zlib.crc32(data[_CHECKED : _HEAD.size])):
        return None
    if found != fingerprint:
        return None
    tags: list[tuple[bytes, bytes]] = []
    at = start
    for position in range(_HEAD.size, start, TOKEN_BYTES):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        tags.append((data[at : at + length], data[position : position + TOKEN_BYTES]))
        at += length
    return Frame(tags, written, life, fresh, load, data[at:])
