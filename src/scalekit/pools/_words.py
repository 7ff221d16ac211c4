"""How the planner writes its arithmetic down."""

from __future__ import annotations

TIMES = " \N{MULTIPLICATION SIGN} "
MINUS = " \N{MINUS SIGN} "

_WHOLE_ABOVE = 999.5  # what rounds to 1,000
_BILLION = 1e9
_MILLISECOND = 1e-3
_MICROSECOND = 1e-6
_ONE_PERCENT = 0.01


def product(*factors: int) -> str:
    """Return "5 x 8 x 15 = 600", with the multiplication sign."""
    result = 1
    for factor in factors:
        result *= factor
    return f"{TIMES.join(map(str, factors))} = {result}"


def figure(value: float) -> str:
    """Return `value` to three significant digits; above a thousand whole, with commas."""
    return f"{value:.3g}" if value < _WHOLE_ABOVE else f"{value:,.0f}" if value < _BILLION else f"{value:.1e}"


def duration(value: float) -> str:
    """Return `value` seconds as text in the unit that fits."""
    if value < _MILLISECOND:
        return f"{figure(value / _MICROSECOND)} us" if value else "0 ms"
    return f"{figure(value / _MILLISECOND)} ms" if value < 1 else f"{figure(value)} s"


def percent(value: float) -> str:
    """Return the ratio `value` as a whole percentage, or "< 1 %"."""
    return f"{value * 100:.0f} %" if value == 0 or value >= _ONE_PERCENT else "< 1 %"
