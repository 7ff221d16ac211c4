"""Which format to send, from the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError
from scalekit.images._formats import CONTENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)
_NAMED, _IMAGES, _ANYTHING = 2, 1, 0
_LONGEST = 4096  # bytes of a header worth reading; the rest cannot be honest


def negotiate(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the one of `offered` that the client likes best, None when it accepts none of them.

    `accept` is the header's value, None or empty when it was not sent, which accepts anything. Among
    equal weights a format that is named goes before one that a wildcard covers, then the earlier
    offer first; where only wildcards match, "jpeg" wins. Send `Vary: Accept` with the answer. Raises
    `ConfigurationError` for an `offered` that is empty or holds an unknown name.
    """
    if isinstance(offered, str) or not offered or any(name not in CONTENT_TYPES for name in offered):
        raise ConfigurationError("offered", offered, f"as names out of {', '.join(CONTENT_TYPES)}")
    if accept is not None and not isinstance(accept, str):
        raise ConfigurationError("accept", accept, "as the text of a header, or None")
    ranges = _ranges(accept or "*/*")
    best: tuple[float, int, int, int] | None = None
    chosen: str | None = None
    for index, name in enumerate(offered):
        weight, precision = _weight(ranges, CONTENT_TYPES[name])
        rank = (weight, precision, int(precision != _NAMED and name == "jpeg"), -index)
        if weight > 0 and (best is None or rank > best):
            best, chosen = rank, name
    return chosen


def _ranges(accept: str) -> dict[str, float]:
    """Return each media range with its weight; an element with a malformed weight is left out."""
    ranges: dict[str, float] = {}
    for element in accept[:_LONGEST].lower().split(","):
        media, *parameters = (part.strip() for part in element.split(";"))
        weight = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        if _QUALITY.fullmatch(weight):
            ranges.setdefault(media, float(weight))
    return ranges


def _weight(ranges: dict[str, float], media_type: str) -> tuple[float, int]:
    """Return the weight of the most precise range that matches, and how precise it is."""
    for media, precision in ((media_type, _NAMED), ("image/*", _IMAGES), ("*/*", _ANYTHING)):
        if media in ranges:
            return ranges[media], precision
    return 0.0, _ANYTHING
