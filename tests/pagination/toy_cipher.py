"""A cipher of a few lines, in the place of a real one."""

from __future__ import annotations

import hashlib
import os


class ToyError(Exception):
    """A cipher's own error, of no common base."""


class Toy:
    """Encrypts, and like Fernet refuses what it did not make; for tests only."""

    def __init__(self, key=b"key"):
        self.key = key
        self.decrypted = []

    def _mask(self, nonce, data):
        mask = hashlib.shake_256(self.key + nonce).digest(len(data))
        return bytes(a ^ b for a, b in zip(mask, data, strict=True))

    def _mac(self, data):
        return hashlib.blake2b(data, key=self.key, digest_size=8).digest()

    def encrypt(self, data, /):
        nonce = os.urandom(8)
        sealed = nonce + self._mask(nonce, data)
        return sealed + self._mac(sealed)

    def decrypt(self, data, /):
        self.decrypted.append(data)
        if self._mac(data[:-8]) != data[-8:]:
            raise ToyError
        return self._mask(data[:8], data[8:-8])
