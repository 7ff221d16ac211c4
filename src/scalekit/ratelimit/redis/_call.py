"""From a call of the store to the operands of the script, and from the script's reply to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._quota import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.ratelimit._quota import Quota

PREFIX = b"sk:rl:"
_SCRIPTED = ("sliding-window", "sliding-log")
MOST_UNITS = 100_000  # 0.8 MB in one string; a server takes some 5 ms to write it
LONGEST_WINDOW = 1 << 52  # microseconds, 142 years: added to the time of day it stays below 2**53


def stored_key(key: str) -> bytes:
    """Return the key on the server; different keys, lone surrogates included, stay different."""
    return PREFIX + key.encode("utf-8", "surrogatepass")


def operands(operation: str, key: str, quota: Quota, cost: int) -> tuple[Any, ...]:
    """Return what follows the script in a command; raises `ConfigurationError` for a quota beyond it."""
    if quota.algorithm not in _SCRIPTED:
        expected = "as 'sliding-window' or 'sliding-log' in a store on Redis"
        raise ConfigurationError("algorithm", quota.algorithm, expected)
    if quota.largest > MOST_UNITS:
        raise ConfigurationError("limit", quota.largest, f"<= {MOST_UNITS} in a store on Redis")
    if quota.longest > LONGEST_WINDOW:
        expected = f"<= {LONGEST_WINDOW / MICROSECONDS:.0f} seconds in a store on Redis"
        raise ConfigurationError("window", quota.longest / MICROSECONDS, expected)
    # Above any limit, and above what any key can have consumed, one cost is as good as another.
    spans = [number for span in quota.spans for number in span]
    return (1, stored_key(key), operation, min(cost, MOST_UNITS + 1), *spans)


def verdict_of(reply: Sequence[int]) -> Verdict:
    """Return the script's verdict."""
    return Verdict(reply[0] == 1, tuple(reply[1::3]), tuple(reply[2::3]), tuple(reply[3::3]))
