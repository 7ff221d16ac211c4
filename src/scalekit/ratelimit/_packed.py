"""States as bytes, for stores that keep rows.

    offset 0   kind (one letter), which names the rule and the version of its format
    offset 1   number of limits (uint8)
    offset 2   latest admission (int64), even if it was refunded
    offset 10  units and window (int64 each) of every limit of the quota last applied
    then       what the rule itself keeps

Everything is big-endian.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import TYPE_CHECKING

from scalekit.ratelimit._limit import MICROSECONDS, Limit
from scalekit.ratelimit._quota import Quota

if TYPE_CHECKING:
    from scalekit.ratelimit._state import KeyState

_HEAD = struct.Struct(">cBq")
_HOMES = {
    b"L": ("_sliding_log", "SlidingLog"),
    b"P": ("_sliding_parts", "SlidingParts"),
    b"W": ("_sliding_window", "SlidingWindow"),
    b"C": ("_sliding_counter", "SlidingCounter"),
    b"G": ("_gcra", "Gcra"),
    b"F": ("_fixed_window", "FixedWindow"),
}


def packed(state: KeyState) -> bytes:
    """Return `state` as bytes; `restored` is the way back."""
    numbers = [number for span in state.spans for number in span]
    head = _HEAD.pack(state.kind, len(state.spans), state.latest)
    return head + struct.pack(f">{len(numbers)}q", *numbers) + state.body()


def restored(data: bytes, quota: Quota) -> KeyState:
    """Return the state that `packed` made `data` of; `quota` is what it will be asked with next.

    Raises `ValueError` for what is no such thing, a format of another version among it.
    """
    try:
        kind, count, latest = _HEAD.unpack_from(data)
        numbers = struct.unpack_from(f">{2 * count}q", data, _HEAD.size)
        module, name = _HOMES[kind]
        spans = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        rule: type[KeyState] = getattr(import_module(f"scalekit.ratelimit.{module}"), name)
        was = quota if spans == quota.spans else _quota_of(spans, quota)
        return rule.restored(was, latest, data[_HEAD.size + 16 * count :])
    except (struct.error, LookupError, ValueError) as error:
        raise ValueError(f"no packed state: {data[:40]!r}") from error


def _quota_of(spans: tuple[tuple[int, int], ...], quota: Quota) -> Quota:
    limits = [Limit(units, window / MICROSECONDS, name=str(i)) for i, (units, window) in enumerate(spans)]
    return Quota(limits, quota.algorithm)
