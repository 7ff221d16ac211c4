"""Durations and clocks.

A duration is float seconds, a `timedelta`, or text such as "250ms", "30s", "15m", "4h", "7d" or
"1h30m" (units from large to small, each at most once). It is parsed once, at construction.
"""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

Duration: TypeAlias = "float | timedelta | str"
Clock: TypeAlias = "Callable[[], float]"
"""Seconds since an arbitrary origin, never going back: `time.monotonic` or a test's clock."""

_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?)"
_TEXT = "".join(rf"(?:{_NUMBER}{unit})?" for unit in ("w", "d", "h", "m", "s", "ms", "us"))
_UNIT_SECONDS = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 1e-3, 1e-6)
_LONGEST = 1e11  # about 3,000 years; keeps microsecond arithmetic within 64 bits


def seconds(duration: Duration, parameter: str, *, allow_zero: bool = False) -> float:
    """Return `duration` in seconds.

    Raises `ConfigurationError`, naming `parameter`, for anything that is not a finite duration
    above zero (or zero itself, with `allow_zero`).
    """
    value = _number(duration)
    if value is None or not math.isfinite(value):
        raise ConfigurationError(
            parameter, duration, "as a duration: seconds, a timedelta, or text like '250ms', '15m', '1h30m'"
        )
    if value < 0 or (value == 0 and not allow_zero):
        raise ConfigurationError(parameter, duration, ">= 0 seconds" if allow_zero else "> 0 seconds")
    if value > _LONGEST:
        raise ConfigurationError(parameter, duration, f"<= {_LONGEST:.0f} seconds")
    return value


def _number(duration: Duration) -> float | None:
    if isinstance(duration, str):
        match = re.fullmatch(_TEXT, duration, re.ASCII)  # compiled by the first, not by every import
        if match is None or not duration:
            return None
        return math.fsum(float(n) * unit for n, unit in zip(match.groups(), _UNIT_SECONDS, strict=True) if n)
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        try:
            return float(duration)
        except OverflowError:
            return math.inf
    # Not imported: what nobody has loaded, or is loading only now, was not given to us.
    loaded: Any = sys.modules.get("datetime")
    if hasattr(loaded, "timedelta") and isinstance(duration, loaded.timedelta):
        return cast("timedelta", duration).total_seconds()
    return None
