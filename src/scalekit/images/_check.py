"""Refusals that several nouns of the block share."""

from __future__ import annotations

import re

from scalekit.errors import ConfigurationError

_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", re.ASCII)


def whole(value: object, parameter: str, low: int, high: int | None = None) -> int:
    """Return `value` when it is an integer (no bool) from `low` to `high`; else `ConfigurationError`."""
    expected = f">= {low}" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(parameter, value, f"as an integer {expected}")
    if value < low or (high is not None and value > high):
        raise ConfigurationError(parameter, value, expected)
    return value


def flag(value: object, parameter: str) -> bool:
    """Return `value` when it is a bool; else `ConfigurationError`."""
    if not isinstance(value, bool):
        raise ConfigurationError(parameter, value, "as True or False")
    return value


def callables(on_event: object, clock: object) -> None:
    """Raise `ConfigurationError` unless a face can call both; None is no hook."""
    if on_event is not None and not callable(on_event):
        raise ConfigurationError("on_event", on_event, "as a callable of one event, or None")
    if not callable(clock):
        raise ConfigurationError("clock", clock, "as a callable that returns seconds")


def colour(value: object, parameter: str) -> str:
    """Return a colour as "#rrggbb"; `ConfigurationError` unless `value` is "#rgb" or "#rrggbb"."""
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ConfigurationError(parameter, value, "as a colour like '#fff' or '#f8f8f8'")
    digits = value[1:].lower()
    return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))  # noqa: PLR2004
