"""The two kinds of number that the planner takes: counts and amounts."""

from __future__ import annotations

import math

from scalekit.errors import ConfigurationError

MOST = 1_000_000
"""No count may be larger; PostgreSQL itself ends at 262,143 connections."""

_LARGEST_AMOUNT = 1e12  # products of three amounts stay finite


def count(value: object, parameter: str, *, least: int = 1) -> int:
    """Return `value` if it is a whole number from `least` to `MOST`; raises `ConfigurationError`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(parameter, value, f"as an integer >= {least}")
    if value < least:
        raise ConfigurationError(parameter, value, f">= {least}")
    if value > MOST:
        raise ConfigurationError(parameter, value, f"<= {MOST}")
    return value


def amount(value: object, parameter: str, *, allow_zero: bool = False) -> float:
    """Return `value` as a float if it is a finite number above zero; raises `ConfigurationError`.

    Zero itself passes with `allow_zero`; nothing above 1e12 does.
    """
    bound = ">= 0" if allow_zero else "> 0"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ConfigurationError(parameter, value, f"as a number {bound}")
    if value < 0 or (value == 0 and not allow_zero):
        raise ConfigurationError(parameter, value, bound)
    if value > _LARGEST_AMOUNT:
        raise ConfigurationError(parameter, value, f"<= {_LARGEST_AMOUNT:.0e}")
    return float(value)
