"""How many rows there are in all, when somebody asks: exactly, or only up to a cap."""

from __future__ import annotations

from typing import Literal, NamedTuple

from scalekit.errors import ConfigurationError
from scalekit.pagination._bounds import whole


class Count(NamedTuple):
    """A number of rows: `value` is all of them ("exact"), or there are no fewer ("at_least")."""

    value: int
    kind: Literal["exact", "at_least"]

    def to_dict(self) -> dict[str, object]:
        """Return the count as plain data."""
        return {"value": self.value, "kind": self.kind}


class Total:
    """Asks a paginator to count as well: one more query per page."""

    __slots__ = ("cap",)

    def __init__(self, cap: int | None) -> None:
        self.cap: int | None = None if cap is None else whole(cap, "cap", at_least=1)

    @classmethod
    def exact(cls) -> Total:
        """Count every row: time grows with the number of rows."""
        return cls(None)

    @classmethod
    def capped(cls, cap: int) -> Total:
        """Count up to `cap` rows, then say "at least `cap`": time is bounded by the cap.

        Raises `ConfigurationError` for a cap below 1.
        """
        return cls(whole(cap, "cap", at_least=1))

    @property
    def rows(self) -> int | None:
        """How many rows the source needs to count: one beyond the cap tells whether there are more."""
        return None if self.cap is None else self.cap + 1

    def counted(self, found: int) -> Count:
        """Return the count, when the source counted `found` rows (it stops at `rows`)."""
        if self.cap is not None and found > self.cap:
            return Count(self.cap, "at_least")
        return Count(found, "exact")

    def __repr__(self) -> str:
        return "Total.exact()" if self.cap is None else f"Total.capped({self.cap})"


def checked_total(total: object) -> Total | None:
    """Return `total` if it is one; raise `ConfigurationError` otherwise."""
    if total is None or isinstance(total, Total):
        return total
    raise ConfigurationError("total", total, "to be Total.exact(), Total.capped(n) or None")
