"""The sliding window of one key in parts, for one large limit: as exact as 470 bytes can be.

This file does not know: clocks, locks, keys, events, floats. Times are integer microseconds.

Time is cut into parts of a 192nd of the window; units are counted by the part they were admitted in,
and count until a window after the end of it. (Sub-windows are folklore; what is ours is that they are
rounded to the safe side, and read in one step.)

Kept is the sum of all units that were admitted before each part began, in a ring: what counts is the
sum of all less the sum before the oldest part that a window reaches. The sums take two bytes each:
they are in steps of a 65,535th of the limit, rounded down, and wrap around.

Why 192: a unit is kept up to a part too long, so that traffic at the limit loses up to a 192nd. Of 64
parts the loss was 0.9 to 1.7 % of legal traffic, of 192 at most 0.5 %.
"""

from __future__ import annotations

import struct
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from scalekit.ratelimit._quota import NEVER, Verdict
from scalekit.ratelimit._state import OtherRule

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Spans

PARTS = 192
SIZE = PARTS + 1  # a window that begins within a part ends within another
STEPS = _WRAP = 65_535  # a full limit must not wrap to nothing
_LONG_AGO = -(1 << 62)
BODY = struct.Struct(f">qq{SIZE}H")
_NOTHING = array("H", (0,)) * SIZE


@lru_cache(maxsize=256)
def grid_of(units: int, window: int) -> tuple[int, int, int, int]:
    """Return units, window, the microseconds of a part and the units of a step."""
    return units, window, -(-window // PARTS), -(-units // STEPS)


class SlidingParts:
    """What one key has consumed, and the rule that says whether it may consume more.

    Never admits more than `units` in any window. Worst case: a unit comes back up to a 192nd of the window
    late, and up to a 65,535th of the limit counts too much. Time never runs backwards for a key. It
    serves one limit; asked about another window or about several it raises `OtherRule`.
    """

    kind: ClassVar[bytes] = b"P"

    __slots__ = ("_grid", "_newest", "_sums", "_total", "latest", "quota")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota  # the one last applied
        self._grid = grid_of(*quota.spans[0])
        self._sums = _NOTHING[:]
        self._total = 0  # of all units that were admitted
        self._newest = self.latest = _LONG_AGO  # part that anything was admitted in, and time of that

    @property
    def spans(self) -> Spans:
        """Of the quota last applied."""
        return self.quota.spans

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` and consume it, or nothing."""
        if quota is not self.quota:
            self._adopt(quota)
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
        units, window, part, step = self._grid
        total = self._total
        oldest = (at - window + 1) // part
        if oldest > self._newest:
            used = 0
        else:
            used = ((total // step - self._sums[oldest % SIZE]) & _WRAP) * step + total % step
        left = units - used - cost
        if left < 0:
            return self.told(quota, cost, now)
        self.latest = at
        current = at // part
        if current != self._newest:
            self._begin(current)
        self._total = total + cost
        return Verdict(True, quota.none, (left,), ((current + 1) * part + window - 1 - now,))

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        if quota is not self.quota:
            self._adopt(quota)
        return self.told(quota, cost, now)

    def told(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return the verdict on a cost that was not consumed."""
        at = max(now, self.latest)
        units, window, part, _ = self._grid
        oldest = (at - window + 1) // part
        used = self._since(oldest)
        remaining = (units - used if used < units else 0,)
        reset = (0,)
        if used:  # a search only after a refund: otherwise the newest part has something
            last = self._newest + 1 if self._since(self._newest) else self._gone(oldest, 0)
            reset = (last * part + window - 1 - now,)
        if used + cost <= units:
            return Verdict(True, quota.none, remaining, reset)
        if cost > units:
            return Verdict(False, (NEVER,), remaining, reset)
        retry = self._gone(oldest, units - cost) * part + window - 1 - now
        return Verdict(False, (retry,), remaining, reset)

    def used(self, now: int) -> int:
        """Return how many units still count."""
        _, window, part, _ = self._grid
        return self._since((max(now, self.latest) - window + 1) // part)

    def left(self, at: int) -> int:
        """Return how many units are left at `at`, not before the latest admission; may be below zero."""
        units, window, part, step = self._grid
        oldest = (at - window + 1) // part
        if oldest > self._newest:
            return units
        total = self._total
        return units - ((total // step - self._sums[oldest % SIZE]) & _WRAP) * step - total % step

    def take(self, cost: int, at: int) -> int:
        """Consume a cost that was found to fit; return when the last of it is back."""
        _, window, part, _ = self._grid
        self.latest = at
        current = at // part
        if current != self._newest:
            self._begin(current)
        self._total += cost
        return (current + 1) * part + window - 1

    def _since(self, oldest: int) -> int:
        """Return how many units were admitted in the part `oldest` and later ones."""
        if oldest > self._newest:
            return 0
        step = self._grid[3]
        return ((self._total // step - self._sums[oldest % SIZE]) & _WRAP) * step + self._total % step

    def _gone(self, oldest: int, room: int) -> int:
        """Return the first part, from `oldest` on, from which at most `room` units were admitted."""
        low, high = oldest, self._newest + 1
        while low < high:
            middle = (low + high) // 2
            if self._since(middle) <= room:
                high = middle
            else:
                low = middle + 1
        return low

    def _begin(self, current: int) -> None:
        """Note the sum before each part that began since the newest."""
        begun = current - self._newest
        total = self._total // self._grid[3] & _WRAP
        if begun == 1:
            self._sums[current % SIZE] = total
        elif begun >= SIZE:
            self._sums = array("H", (total,)) * SIZE
        else:
            for part in range(self._newest + 1, current + 1):
                self._sums[part % SIZE] = total
        self._newest = current

    def _adopt(self, quota: Quota) -> None:
        """Go over to another quota, if it has the same parts and steps."""
        grid = grid_of(*quota.spans[0])
        if len(quota.spans) > 1 or not quota.coarse or grid[1:] != self._grid[1:]:
            raise OtherRule
        self._grid = grid
        self.quota = quota

    def like(self, quota: Quota) -> SlidingParts | None:
        """Return the same for another limit, None if that has other parts or steps."""
        copy = SlidingParts(quota)
        if copy._grid[1:] != self._grid[1:]:
            return None
        copy._sums, copy._total = self._sums[:], self._total
        copy._newest, copy.latest = self._newest, self.latest
        return copy

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        _, window, part, step = self._grid
        oldest = (self.latest - window + 1) // part
        before = self._total // step
        self._total -= min(cost, self._since(oldest))
        after = self._total // step
        for begun in range(self._newest, oldest - 1, -1):
            if (before - self._sums[begun % SIZE]) & _WRAP >= before - after:
                break
            self._sums[begun % SIZE] = after & _WRAP

    def clear(self) -> None:
        """Forget everything."""
        self._sums = _NOTHING[:]
        self._total = 0
        self._newest = self.latest = _LONG_AGO

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the state may be dropped."""
        return not self.used(now)

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits; 0 if it fits now."""
        return self.told(self.quota, 1, now).retry[0]

    def body(self) -> bytes:
        """Return the newest part, the total and the sums as bytes."""
        return BODY.pack(self._newest, self._total % (self._grid[3] << 16), *self._sums)

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> SlidingParts:
        """Return what `body` was made of; raises `struct.error` if it was not."""
        state = cls(quota)
        state.latest = latest
        state._newest, state._total, *sums = BODY.unpack(body)
        state._sums = array("H", sums)
        return state
