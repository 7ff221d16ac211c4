"""Integers out of untrusted bytes.

Slices past the end are short, never errors, so these are total: what is missing reads as zero bits.
"""

from __future__ import annotations


def big(data: bytes, position: int, size: int) -> int:
    """Return the big-endian integer in `size` bytes at `position`."""
    return int.from_bytes(data[position : position + size], "big")


def little(data: bytes, position: int, size: int) -> int:
    """Return the little-endian integer in `size` bytes at `position`."""
    return int.from_bytes(data[position : position + size], "little")


def steps(length: int) -> int:
    """Return how many steps a walk over `length` bytes may take.

    One per 64 bytes is far above what encoders write (a GIF's data blocks hold 255 bytes, PNG chunks
    thousands) and keeps a file made of nothing but empty blocks at the cost of a real one.
    """
    return 65_536 + length // 64
