"""From a call of the store to the operands of a script, and from the script's reply to the answer."""

from __future__ import annotations

import struct
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit._quota import Verdict
from scalekit.ratelimit.redis._prelude import CLOCK, shape_of
from scalekit.redis._script import Script

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Spans

PREFIX = b"sk:rl:"
MOST_UNITS = 1 << 31
MOST_LOGGED = 100_000  # 0.8 MB in one string; a server takes some 5 ms to write it
LONGEST_WINDOW = 1 << 52  # microseconds, 142 years: added to the time of day it stays below 2**53
_HOMES = {
    "sliding-window": ("_sliding_script", "SOURCE"),
    "sliding-log": ("_sliding_script", "LOG_SOURCE"),
    "sliding-counter": ("_counter_script", "SOURCE"),
    "gcra": ("_gcra_script", "SOURCE"),
    "token-bucket": ("_gcra_script", "SOURCE"),
    "fixed-window": ("_fixed_script", "SOURCE"),
}


def stored_key(key: str) -> bytes:
    """Return the key on the server; different keys, lone surrogates included, stay different."""
    return PREFIX + key.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=128)
def script_of(algorithm: str, count: int, clock: str = CLOCK) -> Script:
    """Return the script of an algorithm for `count` limits; `clock` are the lines of it that set the time."""
    module, name = _HOMES[algorithm]
    source: str = getattr(import_module(f"scalekit.ratelimit.redis.{module}"), name)
    return Script(clock + shape_of(count) + source)


@lru_cache(maxsize=1024)
def plan_of(algorithm: str, spans: Spans) -> bytes:
    """Return the limits of a quota as a script reads them; raises `ConfigurationError` for what it cannot."""
    if algorithm not in _HOMES:
        raise ConfigurationError("algorithm", algorithm, f"as one of {', '.join(_HOMES)}")
    most = MOST_LOGGED if algorithm == "sliding-log" else MOST_UNITS
    for units, window in spans:
        if units > most:
            expected = f"<= {most} under {algorithm!r} in a store on Redis"
            raise ConfigurationError("limit", units, expected)
        if window > LONGEST_WINDOW:
            expected = f"<= {LONGEST_WINDOW / MICROSECONDS:.0f} seconds in a store on Redis"
            raise ConfigurationError("window", window / MICROSECONDS, expected)
    return b"".join([struct.pack(">Id", units, window) for units, window in spans])


def operands(operation: str, key: str, quota: Quota, cost: int) -> tuple[Any, ...]:
    """Return what follows the script in a command; raises `ConfigurationError` for a quota beyond it."""
    # Above any limit, and above what any key can have consumed, one cost is as good as another.
    cost = min(cost, MOST_UNITS + 1)
    return (1, stored_key(key), operation, cost, plan_of(quota.algorithm, quota.spans))


def verdict_of(reply: bytes, quota: Quota) -> Verdict:
    """Return the script's verdict."""
    count = len(quota.spans)
    numbers = struct.unpack(f">{len(reply) // 8}q", reply)
    if len(numbers) == 2 * count:  # a denial has a third for each limit
        return Verdict(True, quota.none, numbers[:count], numbers[count:])
    return Verdict(False, numbers[2 * count :], numbers[:count], numbers[count : 2 * count])
