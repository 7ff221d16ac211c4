"""What a limit is, and the text it is written in.

The grammar is a strict superset of the `limits` package's: "100 per 15 minutes", "10/second;5/day",
and also "10/s", "100/15m", "2/2.5s", "5/500ms", "10/1h30m". Case and spaces do not matter; limits are
parted by `,`, `;` or `|`. As in `limits`, a month has 30 days and a year 12 such months. Unlike
`limits`, nothing may be zero: neither the limit nor its window.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scalekit._time import seconds
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from scalekit._time import Duration

MICROSECONDS = 1_000_000
LARGEST = 999_999_999_999_999  # the largest integer of an HTTP structured field (RFC 9651, 3.3.1)
_LONGEST_NAME = 64

_ONE = re.compile(r"\s*([0-9]{1,15})\s*(?:/|per)\s*(.+?)\s*", re.IGNORECASE | re.DOTALL)
_SPAN = re.compile(r"([0-9]{1,15})?(\.[0-9]{1,9})?\s*([a-z]+)", re.IGNORECASE)
_PARTING = re.compile(r":?[,;|]")  # `limits` lets a colon precede the separator
_GRAMMAR = "as text like '10/s', '100/15m' or '100 per 15 minutes'"

_UNITS = {
    1: ("us",),
    1_000: ("ms",),
    MICROSECONDS: ("s", "sec", "secs", "second", "seconds"),
    60 * MICROSECONDS: ("m", "min", "mins", "minute", "minutes"),
    3_600 * MICROSECONDS: ("h", "hour", "hours"),
    86_400 * MICROSECONDS: ("d", "day", "days"),
    604_800 * MICROSECONDS: ("w", "week", "weeks"),
    2_592_000 * MICROSECONDS: ("month", "months"),
    31_104_000 * MICROSECONDS: ("year", "years"),
}
_UNIT_OF = {word: length for length, words in _UNITS.items() for word in words}
_SHOWN_UNITS = tuple((length, words[0]) for length, words in sorted(_UNITS.items(), reverse=True)[3:])


class Limit:
    """At most `limit` units in any `window`.

    `limit` is an integer from 1 to 999,999,999,999,999. `window` is a duration of at least one
    microsecond; as an attribute it is float seconds, and `microseconds` is the same exactly. `name` is
    what HTTP headers and problem documents call this limit: 1 to 64 printable ASCII characters, by
    default its text ("100/15m"). Immutable, hashable, and equal when all three are equal. Raises
    `ConfigurationError`.
    """

    __slots__ = ("limit", "microseconds", "name", "window")

    limit: int
    microseconds: int
    name: str
    window: float

    def __init__(self, limit: int, window: Duration, *, name: str | None = None) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("limit", limit, "as an integer")
        if not 1 <= limit <= LARGEST:
            raise ConfigurationError("limit", limit, f"from 1 to {LARGEST}")
        microseconds = round(seconds(window, "window") * MICROSECONDS)
        if microseconds < 1:
            raise ConfigurationError("window", window, ">= 1 microsecond")
        for slot, value in (
            ("limit", limit),
            ("microseconds", microseconds),
            ("window", microseconds / MICROSECONDS),
            ("name", _text(limit, microseconds) if name is None else _checked_name(name)),
        ):
            object.__setattr__(self, slot, value)

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Return the one limit that `text` says; raises `ConfigurationError` for none or several."""
        limits = cls.parse_many(text)
        if len(limits) != 1:
            raise ConfigurationError("limit", text, "as a single limit; parse_many() takes several")
        return limits[0]

    @classmethod
    def parse_many(cls, text: str) -> tuple[Limit, ...]:
        """Return the limits that `text` says, in its order: "10/s; 100 per 15 minutes, 5000/day"."""
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("limit", text, _GRAMMAR)
        return tuple(cls._parsed(part, text) for part in _PARTING.split(text))

    @classmethod
    def _parsed(cls, part: str, text: str) -> Limit:
        match = _ONE.fullmatch(part)
        if match is None:
            raise ConfigurationError("limit", text, _GRAMMAR)
        return cls(int(match[1]), _window(match[2], text))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Limit cannot be changed: make another one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Limit cannot be changed: {name!r} stays")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Limit):
            return NotImplemented
        return (self.limit, self.microseconds, self.name) == (other.limit, other.microseconds, other.name)

    def __hash__(self) -> int:
        return hash((self.limit, self.microseconds, self.name))

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.limit, self.window, self.name)

    def __str__(self) -> str:
        return _text(self.limit, self.microseconds)

    def __repr__(self) -> str:
        text = str(self)
        return f"<Limit {text}>" if self.name == text else f"<Limit {text} {self.name!r}>"


def _restored(limit: int, window: float, name: str) -> Limit:
    return Limit(limit, window, name=name)


def _window(text: str, whole: str) -> Duration:
    """Return the window of "per `text`": a unit, a number with a unit, or a compound duration."""
    match = _SPAN.fullmatch(text)
    length = _UNIT_OF.get(match[3].lower()) if match else None
    if match is None or length is None:
        try:
            return seconds(text, "window")
        except ConfigurationError:
            raise ConfigurationError("limit", whole, _GRAMMAR) from None
    if match[1] is None and match[2] is not None:
        raise ConfigurationError("limit", whole, _GRAMMAR)
    return float((match[1] or "1") + (match[2] or "")) * length / MICROSECONDS


def _text(limit: int, microseconds: int) -> str:
    length, unit = next((length, unit) for length, unit in _SHOWN_UNITS if microseconds % length == 0)
    count = microseconds // length
    return f"{limit}/{unit}" if count == 1 else f"{limit}/{count}{unit}"


def _checked_name(name: str) -> str:
    printable = isinstance(name, str) and name.isascii() and name.isprintable()  # pyright: ignore[reportUnnecessaryIsInstance]
    if not printable or not 1 <= len(name) <= _LONGEST_NAME:
        raise ConfigurationError("name", name, f"as 1 to {_LONGEST_NAME} printable ASCII characters")
    return name
