"""The user's cipher, as cursors use it: its mistakes are ours to name."""

from __future__ import annotations

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination.protocols import CursorCipher


class Seal:
    """Encrypts and decrypts what a cursor holds."""

    __slots__ = ("_cipher",)

    def __init__(self, cipher: CursorCipher) -> None:
        # What was given may be the key itself, so only its type is shown.
        if isinstance(cipher, type) or not isinstance(cipher, CursorCipher):
            raise ConfigurationError("cipher", type(cipher).__name__, "to be a CursorCipher or None")
        self._cipher = cipher

    def closed(self, values: bytes) -> bytes:
        """Return `values` encrypted; whatever the cipher raises goes through."""
        sealed: object = self._cipher.encrypt(values)
        if isinstance(sealed, bytes):
            return sealed
        raise ConfigurationError("cipher", type(sealed).__name__, "to encrypt into bytes")

    def opened(self, sealed: bytes) -> bytes:
        """Return what was encrypted; `InvalidCursor` for whatever the cipher cannot decrypt."""
        try:
            values: object = self._cipher.decrypt(sealed)
        except Exception as error:  # each cipher has errors of its own, with no base in common
            raise InvalidCursor("not to be decrypted") from error
        if isinstance(values, bytes):
            return values
        raise ConfigurationError("cipher", type(values).__name__, "to decrypt into bytes")
