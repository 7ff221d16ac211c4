"""A cached exception, as a store keeps it in place of a value."""

from __future__ import annotations


class Raised:
    """What a load raised, kept because its class is one of `cache_exceptions`."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error
