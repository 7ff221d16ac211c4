"""How many rows there are in all, when somebody asks: exactly, up to a cap, or about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from scalekit._time import seconds
from scalekit.errors import ConfigurationError
from scalekit.pagination._bounds import whole

if TYPE_CHECKING:
    from scalekit._time import Duration


class Count(NamedTuple):
    """A number of rows: all of them ("exact"), no fewer ("at_least"), or about so many ("estimate")."""

    value: int
    kind: Literal["exact", "at_least", "estimate"]

    def to_dict(self) -> dict[str, object]:
        """Return the count as plain data."""
        return {"value": self.value, "kind": self.kind}


class Memo(NamedTuple):
    """Where a count is remembered, and for how many seconds."""

    cache: Any
    key: str
    ttl: float


class Total:
    """Asks a paginator to count as well: one more query per page, unless it is `cached`."""

    __slots__ = ("cap", "guesses", "memo")

    def __init__(self, cap: int | None, *, guesses: bool = False, memo: Memo | None = None) -> None:
        self.cap: int | None = None if cap is None else whole(cap, "cap", at_least=1)
        self.guesses: bool = guesses
        self.memo: Memo | None = memo

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

    @classmethod
    def estimate(cls, *, exact_below: int = 10_000) -> Total:
        """Take the database's own estimate, for next to nothing; where that is small, count.

        An estimate of at most `exact_below` rows (10,000) is not believed: they are counted, as by `capped`.
        So is everything where there is no estimate, in SQLite and sequences. PostgreSQL, MariaDB and MySQL
        estimate from statistics that may be old: a table to a few percent, several conditions that depend
        on each other wrong by any factor. Raises `ConfigurationError` for a number below 1.
        """
        return cls(whole(exact_below, "exact_below", at_least=1), guesses=True)

    def cached(self, cache: Any, key: str, *, ttl: Duration) -> Total:
        """Return this total, counted at most once in `ttl` for all who share `cache`.

        `cache` is a `scalekit.cache.Cache`, for an async paginator an `AsyncCache`, or what has its
        `get_or_set(key, load, ttl=)`. `key` must name the rows that are counted, so the filter too.
        Raises `ConfigurationError` for another cache, a key that is no text, and a `ttl` of 0 or less.
        """
        if not callable(getattr(cache, "get_or_set", None)):
            raise ConfigurationError("cache", cache, "to be a Cache")
        if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("key", key, "to be non-empty text")
        return Total(self.cap, guesses=self.guesses, memo=Memo(cache, key, seconds(ttl, "ttl")))

    @property
    def rows(self) -> int | None:
        """How many rows the source needs to count: one beyond the cap tells whether there are more."""
        return None if self.cap is None else self.cap + 1

    def taken(self, guess: int | None) -> Count | None:
        """Return the source's guess as the count, or None if it is none or too small to be believed."""
        return None if guess is None or guess <= (self.cap or 0) else Count(guess, "estimate")

    def counted(self, found: int) -> Count:
        """Return the count, when the source counted `found` rows (it stops at `rows`)."""
        if self.cap is not None and found > self.cap:
            return Count(self.cap, "at_least")
        return Count(found, "exact")

    def __repr__(self) -> str:
        kind = "exact()" if self.cap is None else f"capped({self.cap})"
        return f"Total.{f'estimate(exact_below={self.cap})' if self.guesses else kind}"


def checked_total(total: object) -> Total | None:
    """Return `total` if it is one; raise `ConfigurationError` otherwise."""
    if total is None or isinstance(total, Total):
        return total
    raise ConfigurationError("total", total, "to be Total.exact(), .capped(n), .estimate() or None")
