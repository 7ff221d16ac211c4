"""Cursors: a position in an order as short opaque text that nobody else can make.

    base64url( header | key id | time | value ... | tag )        unpadded, one spelling only
    header   one byte: version in the high half, then 1 = leads backward, 2 = includes its own row,
             4 = has a time, 8 = its values are encrypted
    key id   one byte that tells which key signed
    time     if the header says so: when it was made, in five bytes
    value    its length in one byte (254 = NULL, 255 = four bytes of length follow), then its bytes;
             with a cipher, all values as one ciphertext
    tag      12 bytes of keyed BLAKE2b over the order's fingerprint, the scope and all the rest

A timestamp and a bigint make 44 characters. The tag is checked before anything else is looked at, so
whatever was not made here for this order and scope is refused unread, and undecrypted.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64, b2a_base64
from hmac import compare_digest
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination._expiry import STAMP
from scalekit.pagination._keyring import TAG, Keyring
from scalekit.pagination._seal import Seal
from scalekit.pagination._window import Position, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.pagination._expiry import Expiry
    from scalekit.pagination._order import TotalOrder
    from scalekit.pagination.protocols import CursorCipher

LONGEST = 4096
"""Characters in a cursor, at most: it has to fit into a URL."""

_HEAD = 2
LONGEST_VALUE = LONGEST * 3 // 4 - _HEAD - STAMP - TAG - 5
"""Bytes in the value of an order's only key, at most (a cipher adds its own to them)."""

_VERSION = 1 << 4
_BACKWARD, _INCLUSIVE, _TIMED, _SEALED = 1, 2, 4, 8
_NULL, _LONG = 254, 255
_SIZES = tuple(bytes((size,)) for size in range(_NULL))
# The other alphabet's characters, and padding, become one that no alphabet has.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"===", b"==", b"=")


class Codec:
    """Makes and reads cursors with one set of keys; `bind` gives the coder for one order and scope."""

    __slots__ = ("expiry", "heads", "keyring", "seal")

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes] | None,
        *,
        expiry: Expiry | None = None,
        cipher: CursorCipher | None = None,
    ) -> None:
        self.keyring = Keyring(secret)
        self.expiry = expiry
        self.seal = None if cipher is None else Seal(cipher)
        always = _VERSION | (self.expiry is not None) * _TIMED | (self.seal is not None) * _SEALED
        self.heads = [
            bytes((always | way, self.keyring.signer.id)) for way in range(_BACKWARD + _INCLUSIVE + 1)
        ]

    def bind(self, order: TotalOrder, scope: str | None) -> Coder:
        """Return the coder of cursors that are valid for `order` and `scope` only.

        Raises `ConfigurationError` for an order without keys: the source has none of its own.
        """
        if not order.keys:
            raise ConfigurationError("order_by", None, "with at least one key, since the source has no order")
        context = len(order.fingerprint).to_bytes(4, "big") + order.fingerprint
        if scope is not None:
            encoded = scope.encode("utf-8", "surrogatepass")
            context += b"s" + len(encoded).to_bytes(4, "big") + encoded
        return Coder(self, order, context)


class Coder:
    """Cursors of one order and scope."""

    __slots__ = ("_base", "_codec", "_context", "_order")

    def __init__(self, codec: Codec, order: TotalOrder, context: bytes) -> None:
        self._codec = codec
        self._order = order
        self._context = context
        self._base = codec.keyring.signer.begun(context)

    def encode(self, values: Sequence[object], *, backward: bool, inclusive: bool = False) -> str:
        """Return the cursor for `values`.

        Raises `ConfigurationError` when a value is not of its key's type or too long for a cursor.
        """
        codec = self._codec
        signed = codec.heads[backward * _BACKWARD | inclusive * _INCLUSIVE]
        if codec.expiry is not None:
            signed += codec.expiry.stamp()
        packed = self._packed(values)
        signed += packed if codec.seal is None else codec.seal.closed(packed)
        tag = self._base.copy()
        tag.update(signed)
        text = (
            b2a_base64(signed + tag.digest(), newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")
        )
        if len(text) > LONGEST:
            raise ConfigurationError("order_by", values, f"short enough for a cursor of {LONGEST} characters")
        return text

    def decode(self, cursor: object, *, expires: bool = True) -> Position:
        """Return the position that `cursor` stands for; `InvalidCursor` for whatever was not made here.

        `expires` False takes it however old it is.
        """
        if not isinstance(cursor, str):
            raise InvalidCursor("not text")
        if len(cursor) > LONGEST:
            raise InvalidCursor("too long")
        try:
            text = cursor.encode("ascii").translate(_FROM_URL) + _PADDING[len(cursor) % 4]
            raw = a2b_base64(text)
        except ValueError:
            raise InvalidCursor("malformed") from None
        # base64 skips foreign characters and stray bits: only what encodes back the same is a cursor.
        if len(raw) <= _HEAD + TAG or b2a_base64(raw, newline=False) != text:
            raise InvalidCursor("malformed")
        header = raw[0]
        if header & 0xF0 != _VERSION:
            raise InvalidCursor("another version")
        signed = raw[:-TAG]
        if not self._is_ours(signed, raw[-TAG:]):
            raise InvalidCursor("not signed here for this order and scope")
        packed = self._opened(header, signed, expires=expires)
        return Position(self._values(packed), header & _BACKWARD != 0, header & _INCLUSIVE != 0)

    def window(
        self, cursor: str | None, limit: int, *, last: bool, before: str | None = None, expires: bool = True
    ) -> Window:
        """Return the window for a page of `limit` rows, and one more that tells whether a page follows.

        It lies where `cursor` leads, or backward from the row of `before`, wherever that one leads. In an
        order that is forward only there is no one more: the source tells. Raises `ConfigurationError` for
        both cursors, and for what leads backward there.
        """
        if self._order.forward_only:
            if last or before is not None:
                asked = "last()" if last else "before="
                raise ConfigurationError(
                    "source", "pages that lead forward only", f"that can be read from its end, for {asked}"
                )
            place = None if cursor is None else self.decode(cursor, expires=expires)
            return Window(self._order, place, False, limit)
        if before is not None:
            if cursor is not None:
                raise ConfigurationError(
                    "before", before, "to be None beside a cursor: a page has one beginning"
                )
            came = self.decode(before, expires=expires)
            # Its own row stays out, as the edge that a client names, unless the cursor leads back to
            # that row itself, as the one of a page whose rows were deleted does.
            position = Position(came.values, backward=True, inclusive=came.inclusive and came.backward)
            return Window(self._order, position, True, limit + 1)
        if cursor is None:
            return Window(self._order, None, last, limit + 1)
        position = self.decode(cursor, expires=expires)
        return Window(self._order, position, position.backward, limit + 1)

    def forward_only(self, cursor: str | None) -> None:
        """Refuse a cursor that leads backward, where a whole walk would start from it."""
        if cursor is not None and self.decode(cursor).backward:
            raise InvalidCursor("leads backward, where only forward is possible")

    def _is_ours(self, signed: bytes, tag: bytes) -> bool:
        keyring = self._codec.keyring
        for key in keyring.of(signed[1]):
            mac = self._base.copy() if key is keyring.signer else key.begun(self._context)
            mac.update(signed)
            if compare_digest(mac.digest(), tag):
                return True
        return False

    def _opened(self, header: int, signed: bytes, *, expires: bool) -> bytes:
        codec = self._codec
        at = _HEAD
        if header & _TIMED:
            at += STAMP
            if codec.expiry is not None and expires:
                codec.expiry.check(signed[_HEAD:at])
        elif codec.expiry is not None:
            raise InvalidCursor("made without an expiry")
        if not header & _SEALED:
            return signed[at:]
        if codec.seal is None:
            raise InvalidCursor("encrypted, and there is no cipher")
        return codec.seal.opened(signed[at:])

    def _packed(self, values: Sequence[object]) -> bytes:
        packed = b""
        for key, value in zip(self._order.keys, values, strict=True):
            if value is None:
                if not key.nullable:
                    raise ConfigurationError(
                        f"order key {key.name!r}", value, "never NULL, as its column says"
                    )
                packed += b"\xfe"
                continue
            try:
                data = key.kind.encode(value)
            except (TypeError, ValueError, ArithmeticError, AttributeError, struct.error) as error:
                raise ConfigurationError(
                    f"order key {key.name!r}", value, f"to hold values of kind {key.kind.name}"
                ) from error
            size = len(data)
            packed += (_SIZES[size] if size < _NULL else b"\xff" + size.to_bytes(4, "big")) + data
        return packed

    def _values(self, packed: bytes) -> tuple[object, ...]:
        # Only what was signed here comes this far; from an older build it may still not fit.
        values: list[object] = []
        at = 0
        try:
            for key in self._order.keys:
                size = packed[at]
                at += 1
                if size == _NULL:
                    values.append(None)
                    continue
                if size == _LONG:
                    size = int.from_bytes(packed[at : at + 4], "big")
                    at += 4
                values.append(key.kind.decode(packed[at : at + size]))
                at += size
        except (LookupError, ValueError, ArithmeticError, TypeError, struct.error):
            raise InvalidCursor("values of another type") from None
        if at != len(packed):
            raise InvalidCursor("values of another type")
        return tuple(values)
