"""How entries lie on a server of bytes: names, tokens, and the frame around a value.

    sk:e:{<key>}  an entry         sk:l:{<key>}  the token of a key's loads         sk:t:<tag>  that of a tag
    sk:o:{<key>}  who loads it

The braces keep an entry and the token of its loads in one slot of a cluster, so that one script reaches both.
A name of more than `_LONGEST` bytes is replaced by its SHA-256, with "#" for the second colon; so is a key
that is empty or begins with "}", whose braces a cluster would not heed.

An entry is a *head*, the value, and its *tags*:

    head   Adler-32 of the rest of the head and the value 4 | size of head and value 4 | size of all 4 |
           magic 4 | fingerprint 8 | written 8 | fresh until 8 | expires 8 | load 8
    tags   (name as a bulk string of RESP | token 8)*

Integers are unsigned, times are doubles in seconds, three of them on the writer's wall clock, all big-endian.
What a reader expects after the value is thus one string of bytes, of pieces that its command had as well, and
so many entries are judged by one comparison. Tags need no checksum, for a damaged one never compares equal.
It is Adler's, which takes half the time of a CRC, and is for accidents: who writes to the server can write
anything.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32

from scalekit.cache._entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scalekit.cache.protocols import Serializer

PREFIX = "sk:"
TOKEN_BYTES = 8

_LONGEST = 128
_MAGIC = b"SKC\x03"
_HEAD = struct.Struct(">III12sdddd")
_CHECKED = 4
_unpack = _HEAD.unpack_from


def _name(kind: str, name: str, *, paired: bool) -> bytes:
    # Surrogates pass, for a key may be any text.
    raw = name.encode("utf-8", "surrogatepass")
    mark = b":"
    if len(raw) > _LONGEST or (paired and (not raw or raw.startswith(b"}"))):
        import hashlib  # noqa: PLC0415  # loads OpenSSL, for long names

        raw, mark = hashlib.sha256(raw).hexdigest().encode(), b"#"
    return (
        b"%b%b%b{%b}" % (PREFIX.encode(), kind.encode(), mark, raw)
        if paired
        else (b"%b%b%b%b" % (PREFIX.encode(), kind.encode(), mark, raw))
    )


def entry_name(key: str) -> bytes:
    """Return where the entry of `key` lies."""
    return _name("e", key, paired=True)


def load_name(key: str) -> bytes:
    """Return where the token of the loads of `key` lies: on a cluster, in the slot of its entry."""
    return _name("l", key, paired=True)


def tag_name(tag: str) -> bytes:
    """Return where the token of `tag` lies."""
    return _name("t", tag, paired=False)


def lease_name(key: str) -> bytes:
    """Return where it says who has the lease of `key`."""
    return _name("o", key, paired=True)


def tracked_prefixes() -> frozenset[bytes]:
    """Return what the names of all entries and of all tags' tokens begin with, and nothing else's do."""
    return frozenset(f"{PREFIX}{kind}".encode() for kind in "et")


def bulk(name: bytes) -> bytes:
    """Return `name` as a bulk string of RESP: how it stands in a command, and in a frame."""
    return b"$%d\r\n%b\r\n" % (len(name), name)


def unbulk(piece: bytes) -> bytes:
    """Return the name in a bulk string."""
    return piece[piece.index(b"\n") + 1 : -2]


class Times(NamedTuple):
    """When an entry was written, is fresh until, and expires, by the wall clock; what its load took."""

    written: float
    fresh_until: float
    expires: float
    load_seconds: float


def sealed(value: bytes, fingerprint: bytes, pieces: Iterable[bytes], times: Times) -> bytes:
    """Return the head and the value of an entry; what it says of its tags, `pieces`, belongs behind them."""
    size = _HEAD.size + len(value)
    whole = size + sum(len(piece) + TOKEN_BYTES for piece in pieces)
    head = _HEAD.pack(0, size, whole, _MAGIC + fingerprint, *times)
    rest = head[_CHECKED:] + value
    return adler32(rest).to_bytes(_CHECKED, "big") + rest


def tags_of(pieces: Iterable[bytes], tokens: Iterable[bytes]) -> bytes:
    """Return what an entry says of its tags, from their names as bulk strings."""
    return b"".join([part for pair in zip(pieces, tokens, strict=True) for part in pair])


def living(  # noqa: PLR0917  # a hit has no time for keywords
    serializer: Serializer, blob: bytes, tags: bytes, now: float, wall: float, kind: type[Entry] = Entry
) -> Entry | None:
    """Return the entry in `blob`, as a `kind`, if it is whole, of `serializer`, and has exactly `tags`."""
    if len(blob) < _HEAD.size:
        return None
    checksum, size, whole, mark, written, fresh_until, expires, load_seconds = _unpack(blob)
    rest = blob[_CHECKED:size]
    if blob[size:] != tags or len(blob) != whole:  # what was cut off may have been a tag
        return None
    if mark != _MAGIC + serializer.fingerprint or adler32(rest) != checksum:
        return None
    try:
        value = serializer.loads(rest[_BEFORE_VALUE:])
    except ValueError:
        return None
    ahead = now - _age_zero(written, expires, wall)
    entry = _made(kind)  # its constructor takes three times as long
    entry.value = value
    entry.expires = expires + ahead
    entry.fresh_until = fresh_until + ahead
    entry.load_seconds = load_seconds
    entry.snapshot = None
    return entry


def all_living(
    serializer: Serializer, blobs: Sequence[bytes], tags: bytes, now: float, wall: float
) -> list[Entry] | None:
    """Return the entries in `blobs` if `living` would return every one; else None.

    `tags` are those of all of them, one after the other. They are compared as one: each tag of an entry is
    then found in what is expected, with its token, and it does not matter in whose place.

    By columns and not by rows, which takes two thirds of the time for a hundred, and thrice for one.
    """
    try:
        columns = zip(*map(_unpack, blobs), strict=True)
    except struct.error:
        return None
    checksums, sizes, wholes, marks, written, fresh_until, expires, load_seconds = columns
    rests = [blob[_CHECKED:size] for blob, size in zip(blobs, sizes, strict=True)]
    if (
        b"".join([blob[size:] for blob, size in zip(blobs, sizes, strict=True)]) != tags
        or tuple(map(len, blobs)) != wholes
        or marks.count(_MAGIC + serializer.fingerprint) != len(blobs)
        or tuple(map(adler32, rests)) != checksums
    ):
        return None
    loads = serializer.loads
    try:
        values = [loads(rest[_BEFORE_VALUE:]) for rest in rests]
    except ValueError:
        return None
    if max(written) <= wall <= min(expires):
        began: Iterable[float] = repeat(wall)
    else:
        began = [_age_zero(*times, wall) for times in zip(written, expires, strict=True)]
    entries: list[Entry] = []
    for value, fresh, end, load, then in zip(values, fresh_until, expires, load_seconds, began):  # noqa: B905  # one is endless
        ahead = now - then
        entry = _made(Entry)
        entry.value = value
        entry.expires = end + ahead
        entry.fresh_until = fresh + ahead
        entry.load_seconds = load
        entry.snapshot = None
        entries.append(entry)
    return entries


def _age_zero(written: float, expires: float, wall: float) -> float:
    """Return what time it is for an entry: clocks of two machines differ, and it lives only once."""
    return min(max(wall, written), expires)


_BEFORE_VALUE = _HEAD.size - _CHECKED
_made = Entry.__new__


class Frame(NamedTuple):
    """What an entry says of its tags: the pieces and tokens it was written with, and all as it stands."""

    tags: Sequence[tuple[bytes, bytes]]
    written: bytes

    def alive(self, tokens: Mapping[bytes, bytes | None]) -> bool | None:
        """Whether each of its tags still has the token that it was written with; a lost token has changed.

        None if it depends on tags that are not in `tokens`.
        """
        if any(tokens.get(piece, token) != token for piece, token in self.tags):
            return False
        return True if all(piece in tokens for piece, _ in self.tags) else None


def opened(blob: bytes | None) -> Frame | None:
    """Return the tags of the entry in `blob`; None if they cannot be told."""
    if blob is None or len(blob) < _HEAD.size:
        return None
    _, size, _, mark, *_ = _unpack(blob)
    if not mark.startswith(_MAGIC):
        return None
    at = size
    tags: list[tuple[bytes, bytes]] = []
    while at < len(blob):
        line = blob.find(b"\r\n", at)
        digits = blob[at + 1 : max(line, at)]
        if not digits.isdigit():
            return None
        name = blob[line + 2 : line + 2 + int(digits)]
        piece = bulk(name)
        # It will be part of a command: what is no bulk string would be a command of its own.
        if not blob.startswith(piece, at):
            return None
        at += len(piece) + TOKEN_BYTES
        tags.append((piece, blob[at - TOKEN_BYTES : at]))
    return Frame(tags, blob[size:]) if at == len(blob) else None
