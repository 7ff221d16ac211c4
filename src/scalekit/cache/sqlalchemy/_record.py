"""What lies in the table: the names of rows, and the entry in a row's `data`.

    k:<key>   the row of a key       t:<tag>   the row of a tag       l:<key>   the lease of a key

A name of more than `_LONGEST` bytes is replaced by its SHA-256, with "#" for the colon.

An entry is a head, its tags with the tokens that they had when its load began, and the value:

    head   magic 4 | fingerprint 8 | written 8 | life 8 | fresh 8 | load 8 | size of the tags 4
    tags   (size of the name 2 | name | token 8)*

Integers are unsigned and big-endian; times are milliseconds, `written` on the writer's wall clock, `load` in
microseconds. There is no checksum: that what was written is what is read is the database's promise.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalekit.cache._entry import Slot

TOKEN_BYTES = 8

_LONGEST = 128
_MAGIC = b"SKS\x01"
_HEAD = struct.Struct(">4s8sQQQQI")
_SIZE = struct.Struct(">H")


def _name(kind: bytes, name: str) -> bytes:
    # Bytes, for a text of PostgreSQL's cannot hold NUL. Surrogates pass, for a key may be any text.
    raw = name.encode("utf-8", "surrogatepass")
    if len(raw) > _LONGEST:
        return kind + b"#" + hashlib.sha256(raw).digest()
    return kind + b":" + raw


def key_name(key: str) -> bytes:
    """Return the name of the row of `key`."""
    return _name(b"k", key)


def lease_name(key: str) -> bytes:
    """Return the name of the row that says who has the lease of `key`."""
    return _name(b"l", key)


def is_key(name: bytes) -> bool:
    """Whether `name` is that of a key's row."""
    return name.startswith(b"k")


def tag_name(tag: str) -> bytes:
    """Return the name of the row of `tag`."""
    return _name(b"t", tag)


@lru_cache(2_048)
def tag_names(tags: tuple[str, ...]) -> dict[bytes, bytes]:
    """Return the names of the rows of `tags`, in order and each once, and how each begins in an entry."""
    return {name: _SIZE.pack(len(name)) + name for name in map(tag_name, tags)}


def names_of(slot: Slot) -> list[bytes]:
    """Return the names of the rows that a snapshot of `slot` is made of, in its order."""
    return [key_name(slot.key), *tag_names(slot.tags)]


Record: TypeAlias = tuple[bytes, int, int, int, int, bytes]
"""An entry as it lies in the table: tags, written, life, fresh, load, value.

It is fresh for the first `fresh` milliseconds of its `life`. A named tuple would cost each hit 0.3 us more.
"""


def tokens_of(tags: bytes) -> dict[bytes, bytes]:
    """Return name to token of an entry's tags."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(tags):
        start = at + _SIZE.size
        end = start + _SIZE.unpack_from(tags, at)[0]
        at = end + TOKEN_BYTES
        found[tags[start:end]] = tags[end:at]
    return found


def section(tags: tuple[str, ...], tokens: Mapping[bytes, bytes]) -> bytes:
    """Return the tags of an entry with their tokens; one that is lost leaves a gap that no entry has."""
    parts = [part for name, begin in tag_names(tags).items() for part in (begin, tokens.get(name, b""))]
    return b"".join(parts)


def packed(record: Record, *, fingerprint: bytes) -> bytes:
    """Return an entry as bytes."""
    tags, written, life, fresh, load, value = record
    head = _HEAD.pack(_MAGIC, fingerprint, written, life, fresh, load, len(tags))
    return b"".join((head, tags, value))


def opened(data: bytes, *, fingerprint: bytes) -> Record | None:
    """Return the entry in `data`; None if it is of another format or type."""
    if len(data) < _HEAD.size:
        return None
    magic, found, written, life, fresh, load, size = _HEAD.unpack_from(data)
    if magic != _MAGIC or found != fingerprint:
        return None
    end = _HEAD.size + size
    return data[_HEAD.size : end], written, life, fresh, load, data[end:]
