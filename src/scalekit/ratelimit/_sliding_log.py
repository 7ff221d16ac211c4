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

    __slots__ = ("_head", "_live", "_span", "_times", "latest", "quota")

    def __init__(self, quota: Quota) -> None:
        self._times = _NO_TIMES[:]
        self._head = 0  # of the oldest slot; the newest is the one before it, cyclically
        self.latest = _VACANT  # admission, even if it was refunded: what expired by then may be lost
        self.quota = quota
        self._span = quota.longest
        self._live = 0  # at least the units that count under a single limit, as of the newest admission

    @property
    def spans(self) -> Spans:
        """Of the quota last applied."""
        return self.quota.spans

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        if quota is not self.quota:
            self._adopt(quota)
        if cost != 1 or quota.single is None:
            return self._hit(quota, cost, now)
        # The same as _hit for one unit and one limit, without its loop: twice as fast.
        units, window = quota.single
        times = self._times
        head = self._head
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
        cut = at - window
        used = self._live
        if used and times[head - used] <= cut:
            used -= 1
            if used and times[head - used] <= cut:
                used = self._used_since(cut)
        if used >= units:
            return Verdict(
                False, (times[head - units] + window - now,), quota.none, (times[head - 1] + window - now,)
            )
        self._live = used = used + 1
        self.latest = at
        size = len(times)
        if size == quota.largest or times[head] <= at - self._span:
            times[head] = at
            head += 1
            self._head = head if head < size else 0
        else:
            self._write(quota, 1, at)
        return Verdict(
            True, quota.none, (units - used,), quota.windows if at == now else (at + window - now,)
        )

    def _hit(self, quota: Quota, cost: int, now: int) -> Verdict:
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
        self._live = min(self._live + cost, len(self._times))

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
        """Go over to another quota, or count afresh: every slot may be live until looked at."""
        if quota.coarse:
            raise OtherRule
        self.quota = quota
        self._span = max(self._span, quota.longest)
        self._live = len(self._times)

    def _write(self, quota: Quota, cost: int, at: int) -> None:
        """Put `cost` units at the ring's oldest slots, growing it first if those still count.

        A slot may be lost when every limit has let go of it: it is past the longest window, or the
        ring holds as many units as the largest limit, which has just been judged to admit `cost`.
        """
        size = len(self._times)
        if size < quota.largest and (
            cost > size or self._times[(self._head + cost - 1) % size] > at - self._span
        ):
            size = min(quota.largest, size + max(size, cost))
            self._stretch(size)
        end = self._head + cost
        if cost == 1:
            self._times[self._head] = at
        else:
            run = array("q", (at,)) * cost
            self._times[self._head : end] = run[: size - self._head]
            self._times[: max(0, end - size)] = run[size - self._head :]
        self._head = end % size

    def _stretch(self, size: int) -> None:
        vacant = array("q", (_VACANT,)) * (size - len(self._times))
        self._times = vacant + self._in_order()
        self._head = 0

    def _in_order(self) -> array[int]:
        """Return the slots from the oldest to the newest."""
        return self._times[self._head :] + self._times[: self._head]

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        self._times = self._in_order()[:-cost] or _NO_TIMES[:]
        self._head = 0
        self._adopt(self.quota)

    def clear(self) -> None:
        """Forget everything."""
        self._times = _NO_TIMES[:]
        self._head = 0
        self._live = 0
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
        state._live = len(state._times)
        return state


def _swapped(numbers: array[int]) -> bytes:
    """Return `numbers` as big-endian bytes."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()
