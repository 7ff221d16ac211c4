"""Chance, from the system: nothing to seed, and nothing that two processes share after a fork."""

from __future__ import annotations

import os

_BITS = 53


def chance() -> float:
    """Return a number from (0, 1], all equally likely."""
    return (1 + (int.from_bytes(os.urandom(7), "big") >> (56 - _BITS))) / (1 << _BITS)


def owner() -> bytes:
    """Return a name that nobody else has: what tells a lease from another's."""
    return os.urandom(16)
