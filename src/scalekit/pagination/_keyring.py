"""The keys that sign cursors and verify them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeGuard

from scalekit.errors import ConfigurationError

TAG = 12
"""Bytes of a tag: 2**96 guesses, each of which has to be sent to a server."""

_PERSON = b"scalekit.cursor"
_PERSON_OF_ID = b"scalekit.key-id"
_LONGEST_KEY = 64  # what BLAKE2b takes
_process_key: list[bytes] = []


class SigningKey:
    """One key, as a keyed hash that is only ever copied; `id` tells it from others without telling it."""

    __slots__ = ("_mac", "id")

    def __init__(self, key: bytes) -> None:
        self._mac = blake2b(key=key, digest_size=TAG, person=_PERSON)
        self.id: int = blake2b(key=key, digest_size=1, person=_PERSON_OF_ID).digest()[0]

    def begun(self, context: bytes) -> blake2b:
        """Return the hash of `context` under this key, for what is to be signed after it."""
        mac = self._mac.copy()
        mac.update(context)
        return mac


class Keyring:
    """Keys in use: the first, `signer`, signs, and all verify.

    Raises `ConfigurationError`, which never shows a secret, for what is no secret and no sequence of
    different ones.
    """

    __slots__ = ("_by_id", "signer")

    def __init__(self, secret: str | bytes | Sequence[str | bytes] | None) -> None:
        keys = [SigningKey(key) for key in _keys_of(secret)]
        self.signer: SigningKey = keys[0]
        self._by_id: dict[int, tuple[SigningKey, ...]] = {}
        for key in keys:
            # One byte: among many keys two may share it, and then both are tried.
            self._by_id[key.id] = (*self._by_id.get(key.id, ()), key)

    def of(self, key_id: int) -> tuple[SigningKey, ...]:
        """Return the keys with that id: one, or none, and rarely more."""
        return self._by_id.get(key_id, ())


def _keys_of(secret: object) -> list[bytes]:
    if secret is None:
        return [_key_of_process()]
    if not _are_several(secret):
        return [_key_of(secret, "secret", "to be non-empty text or bytes, a sequence of them, or None")]
    keys: list[bytes] = []
    for at, each in enumerate(secret):
        key = _key_of(each, f"secret[{at}]", "to be non-empty text or bytes")
        if key in keys:
            raise ConfigurationError(
                "secret", f"secret[{keys.index(key)}] again in secret[{at}]", "to hold each one once"
            )
        keys.append(key)
    if not keys:
        raise ConfigurationError("secret", [], "to hold one secret at least")
    return keys


def _are_several(secret: object) -> TypeGuard[Sequence[object]]:
    # A bytearray or a memoryview is a sequence too, of numbers.
    return isinstance(secret, Sequence) and not isinstance(secret, (str, bytes, bytearray, memoryview))


def _key_of(secret: object, parameter: str, expected: str) -> bytes:
    if not isinstance(secret, (str, bytes)) or not secret:
        # A value that is not empty stays out of the message: it may be most of a real secret.
        shown = secret if isinstance(secret, (str, bytes)) else type(secret).__name__
        raise ConfigurationError(parameter, shown, expected)
    key = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return key if len(key) <= _LONGEST_KEY else blake2b(key).digest()


def _key_of_process() -> bytes:
    if not _process_key:
        from secrets import token_bytes  # noqa: PLC0415  # only where no secret is given

        _process_key.append(token_bytes(32))
        warnings.warn(
            "no secret: pagination cursors are signed with a key of this process only, so they end with it"
            " and other workers refuse them; pass secret=",
            stacklevel=7,  # whoever made the paginator
        )
    return _process_key[0]
