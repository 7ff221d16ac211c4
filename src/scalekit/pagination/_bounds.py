"""Numbers that come from requests and constructors: whole, at least something, at most something."""

from __future__ import annotations

from scalekit.errors import ConfigurationError

LARGEST = 2**31 - 2
"""One more than this, the row that tells whether a next page exists, still fits a database's int4."""


def whole(value: object, parameter: str, *, at_least: int, at_most: int | None = LARGEST) -> int:
    """Return `value` if it is an int (not a bool) in range; raise `ConfigurationError` otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ConfigurationError(parameter, value, f">= {at_least}, a whole number")
    if at_most is not None and value > at_most:
        raise ConfigurationError(parameter, value, f"<= {at_most}")
    return value


class Bounds:
    """The number of rows on a page: the default, and the most that a page can have, the default included."""

    __slots__ = ("limit", "max_limit")

    def __init__(self, limit: int, max_limit: int) -> None:
        self.max_limit = whole(max_limit, "max_limit", at_least=1)
        self.limit = min(whole(limit, "limit", at_least=1), self.max_limit)

    def size(self, limit: int | None) -> int:
        """Return the page size for a request: `limit` cut to the maximum, or the default for None."""
        if limit is None:
            return self.limit
        return min(whole(limit, "limit", at_least=1, at_most=None), self.max_limit)
