"""How entries lie on a server of bytes: names, tokens, and the frame around a value.

    sk:e:{<key>}  an entry         sk:l:{<key>}  the token of a key's loads         sk:t:<tag>  that of a tag
    sk:o:{<key>}  who loads it

The braces keep an entry and the token of its loads in one slot of a cluster, so that one script reaches both.
A name of more than `_LONGEST` bytes is replaced by its SHA-256, with "#" for the second colon; so is a key
that is empty or begins with "}", whose braces a cluster would not heed.

An entry is a *head*, the value, the *tags*, and an *end*:

    head   Adler-32 of the rest of the head and the value 4 | size of the value 4 |
           written 8 | fresh until 8 | expires 8 | load 8
    tags   (name as a bulk string of RESP | token 8)*
    end    fingerprint 8 | magic 4

Integers are unsigned, times are doubles in seconds, three of them on the writer's wall clock, all big-endian.
What a reader expects after the value is thus one string of bytes, of pieces that its command had as well: a
hundred entries are judged by a hundred comparisons. Tags need no checksum, for a damaged one never compares
equal. It is Adler's, which takes half the time of a CRC, and is for accidents: who writes to the server can
write anything.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import adler32

from scalekit.cache._entry import Entry, NamedEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache.protocols import Serializer

PREFIX = "sk:"
TOKEN_BYTES = 8

_LONGEST = 128
_MAGIC = b"SKC\x03"
_HEAD = struct.Struct(">IIdddd")
_CHECKED = 4
_END_BYTES = 8 + len(_MAGIC)
_COPIED = 8_192
"""Up to so many bytes a copy costs less than a view of them."""


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


def token_names(slot: Slot) -> list[bytes]:
    """Return where the tokens of a snapshot of `slot` lie, in its order."""
    return [load_name(slot.key), *map(tag_name, slot.tags)]


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


def sealed(value: bytes, times: Times) -> bytes:
    """Return the head and the value of an entry; its tags and its end belong behind them."""
    rest = _HEAD.pack(0, len(value), *times)[_CHECKED:] + value
    return adler32(rest).to_bytes(4, "big") + rest


def tags_of(pieces: Iterable[bytes], tokens: Iterable[bytes]) -> bytes:
    """Return what an entry says of its tags, from their names as bulk strings."""
    return b"".join([part for pair in zip(pieces, tokens, strict=True) for part in pair])


def end_of(fingerprint: bytes) -> bytes:
    """Return the end of an entry whose serializer has `fingerprint`."""
    return fingerprint + _MAGIC


def living(blob: bytes, tags: bytes, serializer: Serializer, now: float, wall: float) -> Entry | None:
    """Return the entry in `blob` if it has exactly `tags`, in that order, and can be read."""
    tail = tags + end_of(serializer.fingerprint)
    if not blob.endswith(tail):
        return None
    return _entry(NamedEntry, blob, len(blob) - len(tail), serializer.loads, now, wall)


def all_living(
    slots: Sequence[Slot],
    blobs: Sequence[bytes | None],
    said: Callable[[str], bytes],
    now: float,
    wall: float,
) -> list[Entry | None]:
    """Return the entry of each of `slots`, None where `blobs` has none that is alive by the slot's own tags.

    `said` gives what a living entry says of a tag; it raises `KeyError` for one whose token is lost. An entry
    that was written with other tags than its slot's is None as well: `opened` says what they are.
    """
    found: list[Entry | None] = []
    known: object = None
    loads: Callable[[bytes], Any] = bytes
    end = b""
    for (_, tags, serializer, _), blob in zip(slots, blobs, strict=True):
        entry = None
        if blob is not None:
            if serializer is not known:
                known, loads, end = serializer, serializer.loads, end_of(serializer.fingerprint)
            try:
                tail = b"".join(map(said, tags)) + end
                if blob.endswith(tail):
                    entry = _entry(NamedEntry, blob, len(blob) - len(tail), loads, now, wall)
            except KeyError:
                pass
        found.append(entry)
    return found


def _entry(  # noqa: PLR0917  # a hit has no time for keywords
    kind: type[Entry], blob: bytes, size: int, loads: Callable[[bytes], Any], now: float, wall: float
) -> Entry | None:
    """Return the entry whose head and value are the first `size` bytes of `blob`, None if they are not."""
    if size < _HEAD.size:
        return None
    checksum, length, written, fresh_until, expires, load_seconds = _HEAD.unpack_from(blob)
    checked = blob[_CHECKED:size] if size < _COPIED else memoryview(blob)[_CHECKED:size]
    if _HEAD.size + length != size or checksum != adler32(checked):
        return None
    try:
        value = loads(blob[_HEAD.size : size])
    except ValueError:
        return None
    # Clocks of two machines differ: an entry is at least as old as new, and at most as old as it lives.
    ahead = now - (written if wall < written else min(wall, expires))
    entry = _made(kind)  # its constructor takes three times as long
    entry.value = value
    entry.expires = expires + ahead
    entry.fresh_until = fresh_until + ahead
    entry.load_seconds = load_seconds
    entry.snapshot = None
    return entry


_made = Entry.__new__


class Frame(NamedTuple):
    """An entry as it lies on the server; `tags` are the pieces and tokens it was written with."""

    blob: bytes
    size: int
    tags: Sequence[tuple[bytes, bytes]]

    def alive(self, tokens: Mapping[bytes, bytes | None]) -> bool | None:
        """Whether each of its tags still has the token that it was written with; a lost token has changed.

        None if it depends on tags that are not in `tokens`.
        """
        if any(tokens.get(piece, token) != token for piece, token in self.tags):
            return False
        return True if all(piece in tokens for piece, _ in self.tags) else None

    def entry(self, loads: Callable[[bytes], Any], now: float, wall: float) -> Entry | None:
        """Return what is in it; None if it is damaged, or cannot be read."""
        return _entry(Entry, self.blob, self.size, loads, now, wall)


def opened(blob: bytes | None, *, fingerprint: bytes) -> Frame | None:
    """Return the frame in `blob`; None if it is of another format or type, or cannot be taken apart."""
    if blob is None or len(blob) < _HEAD.size or not blob.endswith(end_of(fingerprint)):
        return None
    at = size = _HEAD.size + _HEAD.unpack_from(blob)[1]
    tags: list[tuple[bytes, bytes]] = []
    end = len(blob) - _END_BYTES
    while at < end:
        line = blob.find(b"\r\n", at, end)
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
    return Frame(blob, size, tags) if at == end else None
