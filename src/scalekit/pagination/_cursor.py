"""Cursors: a position in an order as short opaque text that nobody else can make.

    base64url( header | tag | value ... )        unpadded, one spelling only
    header   one byte: version in the high half, then 1 = leads backward, 2 = includes its own row
    tag      12 bytes of keyed BLAKE2b over the order's fingerprint, the scope, the header and the values
    value    its length in one byte (254 = NULL, 255 = four bytes of length follow), then its bytes

A timestamp and a bigint make 44 characters. The tag is checked before any value is looked at, so
whatever was not made here for this order and scope is refused unread.
"""

from __future__ import annotations

import struct
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination._window import Position, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.pagination._order import TotalOrder

LONGEST = 4096
"""Characters in a cursor, at most: it has to fit into a URL."""

_VERSION = 1 << 4
_BACKWARD, _INCLUSIVE = 1, 2
_TAG = 12

LONGEST_VALUE = LONGEST * 3 // 4 - 1 - _TAG - 5
"""Bytes in the value of an order's only key, at most."""

_PERSON = b"scalekit.cursor"
_LONGEST_KEY = 64  # what BLAKE2b takes
_NULL, _LONG = 254, 255
_process_key: list[bytes] = []


class Codec:
    """Makes and reads cursors with one secret; `bind` gives the coder for one order and scope."""

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes | None) -> None:
        self._key = _key_of(secret)

    def bind(self, order: TotalOrder, scope: str | None) -> Coder:
        """Return the coder of cursors that are valid for `order` and `scope` only.

        Raises `ConfigurationError` for an order without keys: the source has none of its own.
        """
        if not order.keys:
            raise ConfigurationError("order_by", None, "with at least one key, since the source has no order")
        base = blake2b(key=self._key, digest_size=_TAG, person=_PERSON)
        base.update(len(order.fingerprint).to_bytes(4, "big") + order.fingerprint)
        if scope is not None:
            encoded = scope.encode("utf-8", "surrogatepass")
            base.update(b"s" + len(encoded).to_bytes(4, "big") + encoded)
        return Coder(base, order)


class Coder:
    """Cursors of one order and scope."""

    __slots__ = ("_base", "_order")

    def __init__(self, base: blake2b, order: TotalOrder) -> None:
        self._base = base
        self._order = order

    def encode(self, values: Sequence[object], *, backward: bool, inclusive: bool = False) -> str:
        """Return the cursor for `values`.

        Raises `ConfigurationError` when a value is not of its key's type or too long for a cursor.
        """
        parts = [bytes((_VERSION | backward * _BACKWARD | inclusive * _INCLUSIVE,))]
        for key, value in zip(self._order.keys, values, strict=True):
            if value is None:
                if not key.nullable:
                    raise ConfigurationError(
                        f"order key {key.name!r}", value, "never NULL, as its column says"
                    )
                parts.append(b"\xfe")
                continue
            try:
                data = key.kind.encode(value)
            except (TypeError, ValueError, ArithmeticError, AttributeError, struct.error) as error:
                raise ConfigurationError(
                    f"order key {key.name!r}", value, f"to hold values of kind {key.kind.name}"
                ) from error
            size = len(data)
            parts.append(bytes((size,)) if size < _NULL else b"\xff" + size.to_bytes(4, "big"))
            parts.append(data)
        body = b"".join(parts)
        tag = self._tag(body)
        text = urlsafe_b64encode(body[:1] + tag + body[1:]).rstrip(b"=").decode("ascii")
        if len(text) > LONGEST:
            raise ConfigurationError("order_by", values, f"short enough for a cursor of {LONGEST} characters")
        return text

    def decode(self, cursor: object) -> Position:
        """Return the position that `cursor` stands for; `InvalidCursor` for whatever was not made here."""
        if not isinstance(cursor, str):
            raise InvalidCursor("not text")
        if len(cursor) > LONGEST:
            raise InvalidCursor("too long")
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise InvalidCursor("malformed") from None
        # base64 skips foreign characters and stray bits: only what encodes back the same is a cursor.
        if len(raw) <= _TAG or urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") != cursor:
            raise InvalidCursor("malformed")
        if raw[0] & 0xF0 != _VERSION:
            raise InvalidCursor("another version")
        body = raw[:1] + raw[_TAG + 1 :]
        if not compare_digest(self._tag(body), raw[1 : _TAG + 1]):
            raise InvalidCursor("not made for this order and scope")
        return Position(self._values(body), raw[0] & _BACKWARD != 0, raw[0] & _INCLUSIVE != 0)

    def window(self, cursor: str | None, limit: int, *, last: bool) -> Window:
        """Return the window for a page of `limit` rows, and one more that tells whether a page follows.

        In an order that is forward only there is no one more: the source tells. Raises
        `ConfigurationError` for its last page.
        """
        if self._order.forward_only:
            if last:
                raise ConfigurationError(
                    "source", "pages that lead forward only", "that can be read from its end, for last()"
                )
            return Window(self._order, None if cursor is None else self.decode(cursor), False, limit)
        if cursor is None:
            return Window(self._order, None, last, limit + 1)
        position = self.decode(cursor)
        return Window(self._order, position, position.backward, limit + 1)

    def forward_only(self, cursor: str | None) -> None:
        """Refuse a cursor that leads backward, where a whole walk would start from it."""
        if cursor is not None and self.decode(cursor).backward:
            raise InvalidCursor("leads backward, where only forward is possible")

    def _tag(self, body: bytes) -> bytes:
        tag = self._base.copy()
        tag.update(body)
        return tag.digest()

    def _values(self, body: bytes) -> tuple[object, ...]:
        # Only a cursor that was signed here comes this far; one from an older build may still not fit.
        values: list[object] = []
        at = 1
        try:
            for key in self._order.keys:
                size = body[at]
                at += 1
                if size == _NULL:
                    values.append(None)
                    continue
                if size == _LONG:
                    size = int.from_bytes(body[at : at + 4], "big")
                    at += 4
                values.append(key.kind.decode(body[at : at + size]))
                at += size
        except (LookupError, ValueError, ArithmeticError, TypeError, struct.error):
            raise InvalidCursor("values of another type") from None
        if at != len(body):
            raise InvalidCursor("values of another type")
        return tuple(values)


def _key_of(secret: object) -> bytes:
    if secret is None:
        return _key_of_process()
    if not isinstance(secret, (str, bytes)) or not secret:
        # A value that is not empty stays out of the message: it may be most of a real secret.
        shown = secret if isinstance(secret, (str, bytes)) else type(secret).__name__
        raise ConfigurationError("secret", shown, "to be non-empty text or bytes, or None")
    key = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return key if len(key) <= _LONGEST_KEY else blake2b(key).digest()


def _key_of_process() -> bytes:
    if not _process_key:
        from secrets import token_bytes  # noqa: PLC0415  # only where no secret is given

        _process_key.append(token_bytes(32))
        warnings.warn(
            "no secret: pagination cursors are signed with a key of this process only, so they end with it"
            " and other workers refuse them; pass secret=",
            stacklevel=6,  # whoever made the paginator
        )
    return _process_key[0]
