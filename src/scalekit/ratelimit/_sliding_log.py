"""The exact sliding window log of one key, for any number of limits at once.

This file does not know: clocks, locks, keys, events, floats. Times are integer microseconds.

A limit of `units` in `window` admits a cost at `now` when, of the last `units - cost + 1` units that
were admitted, the oldest was admitted at or before `now - window`. So a ring of the newest admission
times decides, and one ring serves every limit of a quota: each looks at its own distance from the
newest. (The sliding window log is folklore; the ring of the last n times is the classic form of it.)

Memory: 8 bytes per live unit, at most 8 bytes x the largest limit. The ring starts at one hit's size
and doubles only while its oldest unit still counts.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, ClassVar

from scalekit.ratelimit._quota import NEVER, Verdict
from scalekit.ratelimit._state import OtherRule

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Spans

_VACANT = -(1 << 62)  # a slot that was never written: older than any window reaches back
_FAR = 1 << 62
_NO_TIMES = array("q", (_VACANT,))


class SlidingLog:
    """What one key has consumed, and the rule that says whether it may consume more.

    Never admits more than `units` in any window that is open at its start, `(t, t + window]`, at
    microsecond resolution: the unit admitted at `t` is back at exactly `t + window`. Time never runs
    backwards for a key: a `now` before the latest admission counts as that admission's time.
    When the quota changes, what was consumed stays: the log reaches back as many units as the largest
    limit the key was asked about before.
    """

    kind: ClassVar[bytes] = b"L"

    __slots__ = ("_due", "_head", "_live", "_single", "_size", "_span", "_times", "latest", "quota")

    def __init__(self, quota: Quota) -> None:
        self._times = _NO_TIMES[:]
        self._size = 1
        self._head = 0  # of the oldest slot; the newest is the one before it, cyclically
        self.latest = _VACANT  # admission, even if it was refunded: what expired by then may be lost
        self.quota = quota
        self._span = quota.longest
        self._single = quota if quota.single is not None else None  # and its window is the span
        self._live = 0  # at least the units that count under `_single`
        self._due = _FAR  # until then exactly these count

    @property
    def spans(self) -> Spans:
        """Of the quota last applied."""
        return self.quota.spans

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        if quota is not self._single or cost != 1:
            return self._hit(quota, cost, now)
        # The same as _hit for one unit and one limit, without its loop: three times as fast. It looks at
        # the ring only when a unit has left the window: a read of an array costs 30 ns.
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
        used = self._live if at < self._due else self._left(at)
        if used >= quota.largest:
            times, head = self._times, self._head
            wait = times[head - quota.largest] + self._span - now
            return Verdict(False, (wait,), quota.none, (times[head - 1] + self._span - now,))
        if used == self._size:
            self._stretch(quota, 1)
        head = self._head
        self._times[head] = at
        head += 1
        self._head = head if head < self._size else 0
        self.latest = at
        if not used:
            self._due = at + self._span
        self._live = used + 1
        if at != now:
            return Verdict(True, quota.none, (quota.largest - used - 1,), (at + self._span - now,))
        return quota.admitted.get(used) or quota.admitting(used)

    def _left(self, at: int) -> int:
        """Return how many units count at `at` under `_single`, and note until when."""
        times, head, used, cut = self._times, self._head, self._live, at - self._span
        if used and times[head - used] <= cut:
            used -= 1  # most often it is one that left
            if used and times[head - used] <= cut:
                used = self._used_since(cut)
        self._live = used
        self._due = times[head - used] + self._span if used else _FAR
        return used

    def _hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        if quota is not self.quota:
            self._adopt(quota)
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136
        used = [self._used_since(at - window) for window in quota.windows]
        remaining = [units - cost - count for units, count in zip(quota.units, used)]  # noqa: B905  # 90 ns
        if min(remaining) < 0:
            return self.told(quota, cost, now, used)
        self.take(quota, cost, at)
        reset = quota.windows if at == now else tuple([at + window - now for window in quota.windows])
        return Verdict(True, quota.none, tuple(remaining), reset)

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        if quota.coarse:
            raise OtherRule
        return self.told(quota, cost, now, self.counts(quota, max(now, self.latest)))

    def counts(self, quota: Quota, at: int) -> list[int]:
        """Return how many units each limit counts at `at`, not before the latest admission."""
        return [self._used_since(at - window) for window in quota.windows]

    def take(self, quota: Quota, cost: int, at: int) -> None:
        """Consume a cost that was found to fit."""
        if quota is not self.quota:
            self._adopt(quota)
        self.latest = at
        self._write(quota, cost, at)
        self._count_afresh()

    def told(self, quota: Quota, cost: int, now: int, used: list[int]) -> Verdict:
        """Return the verdict on a cost that was not consumed, `used` units being in each window."""
        times = self._times
        head = self._head
        newest = times[head - 1]
        retry: list[int] = []
        remaining: list[int] = []
        reset: list[int] = []
        allowed = True
        for (units, window), count in zip(quota.spans, used):  # noqa: B905  # strict costs 90 ns
            left = units - count
            if left >= cost:
                retry.append(0)
            else:
                allowed = False
                # What must leave the window first; a negative index wraps to the ring's older part.
                retry.append(times[head - (units - cost + 1)] + window - now if cost <= units else NEVER)
            remaining.append(left if left > 0 else 0)  # noqa: FURB136  # max() takes three times as long
            reset.append(newest + window - now if count else 0)
        return Verdict(allowed, tuple(retry), tuple(remaining), tuple(reset))

    def _used_since(self, cut: int) -> int:
        """Return how many units were admitted after `cut`."""
        times = self._times
        head = self._head
        if times[-1] > cut:  # then so are all slots before head, which are younger
            return len(times) - bisect_right(times, cut, head) + head
        return head - bisect_right(times, cut, 0, head)

    def _adopt(self, quota: Quota) -> None:
        if quota.coarse:
            raise OtherRule
        self._apply(quota)

    def _apply(self, quota: Quota) -> None:
        self.quota = quota
        self._span = max(self._span, quota.longest)
        self._single = quota if quota.single is not None and quota.longest == self._span else None
        self._count_afresh()

    def _count_afresh(self) -> None:
        """Take every slot for one that counts, until it is looked at."""
        self._live = self._size = len(self._times)
        self._due = _VACANT

    def _write(self, quota: Quota, cost: int, at: int) -> None:
        """Put `cost` units at the ring's oldest slots, growing it first if those still count.

        A slot may be lost when every limit has let go of it: it is past the longest window, or the
        ring holds as many units as the largest limit, which has just been judged to admit `cost`.
        """
        size = self._size
        if size < quota.largest and (
            cost > size or self._times[(self._head + cost - 1) % size] > at - self._span
        ):
            self._stretch(quota, cost)
            size = self._size
        end = self._head + cost
        if cost == 1:
            self._times[self._head] = at
        else:
            run = array("q", (at,)) * cost
            self._times[self._head : end] = run[: size - self._head]
            self._times[: max(0, end - size)] = run[size - self._head :]
        self._head = end % size

    def _stretch(self, quota: Quota, cost: int) -> None:
        """Make room for `cost` units more, and to spare: each growth takes as long as three hits."""
        size = self._size
        times = self._in_order() if self._head else self._times
        self._size = min(quota.largest, size + max(size, cost))
        self._times = times + array("q", (_VACANT,)) * (self._size - size)
        self._head = size  # what is vacant comes before the oldest unit

    def _in_order(self) -> array[int]:
        """Return the slots from the oldest to the newest."""
        return self._times[self._head :] + self._times[: self._head]

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        self._times = self._in_order()[:-cost] or _NO_TIMES[:]
        self._head = 0
        self._count_afresh()

    def clear(self) -> None:
        """Forget everything."""
        self._times = _NO_TIMES[:]
        self._head = 0
        self._count_afresh()
        self.latest = _VACANT

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the log may be dropped."""
        return self._times[self._head - 1] <= max(now, self.latest) - self._span

    def used(self, now: int) -> int:
        """Return how many units still count under the longest window."""
        return self._used_since(max(now, self.latest) - self._span)

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits the quota last applied; 0 if it fits now."""
        return max(self.peek(self.quota, 1, now).retry)

    def body(self) -> bytes:
        """Return the span, the ring's size and the times that count at the latest admission, as bytes."""
        times = self._in_order()
        live = times[bisect_right(times, self.latest - self._span) :]
        return _swapped(array("q", (self._span, len(times))) + live)

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> SlidingLog:
        """Return what `body` was made of; raises `ValueError` if it was not."""
        state = cls(quota)
        numbers = array("q", body)
        if sys.byteorder == "little":
            numbers.byteswap()
        state.latest = latest
        state._span, size = max(state._span, numbers[0]), numbers[1]
        state._times = array("q", (_VACANT,)) * (size - len(numbers) + 2) + numbers[2:]
        state._apply(quota)
        return state


def _swapped(numbers: array[int]) -> bytes:
    """Return `numbers` as big-endian bytes."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()
