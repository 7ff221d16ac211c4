"""The sliding window counter of one key, for any number of limits at once.

This file does not know: clocks, locks, keys, events, floats. Times are integer microseconds.

Time is cut into windows that begin at the multiples of their length, by the clock of the store. What
counts is all of the current window and as much of the one before as a window that ends now still
covers, as if that one's hits had come evenly. (Cloudflare, "Counting things, a lot of different
things", 2017.)

Where in a window the time is, is told in ticks, of which a window has at most 2**21: so that no product
exceeds 2**53 for counts of up to 2**31, and a double computes the same.

Memory: three integers for one limit, two more for each other.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from scalekit.ratelimit._quota import NEVER, Verdict
from scalekit.ratelimit._state import predecessors

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Spans

    Counts: TypeAlias = tuple[int, int]  # of the window before and of the current one

_LONG_AGO = -(1 << 62)
_TICK_BITS = 20


class SlidingCounter:
    """What one key has consumed, and the rule that says whether it may consume more.

    Exact for hits that come evenly. Worst case: a burst at the end of a window is taken for spread over
    it, and nearly all of it is forgotten when a window that still covers it is nearly over: up to
    `2 x units - 1` in one window; a burst at its start is remembered too long, so that up to `units` are
    refused that would be legal. Time never runs backwards for a key. When the quota changes, a
    limit takes over the counts of the one with the same window, or the next longer.
    """

    kind: ClassVar[bytes] = b"C"

    __slots__ = ("_counts", "latest", "spans")

    def __init__(self, quota: Quota) -> None:
        self.spans = quota.spans
        self._counts: list[Counts] = [(0, 0)] * len(quota.spans)
        self.latest = _LONG_AGO

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        if quota.single is not None and quota.spans is self.spans:
            return self._hit_single(quota, cost, now)
        at, counts = self._as_of(quota.spans, now)
        verdict = _told(quota.spans, cost, now, at, counts)
        if not verdict.allowed:
            return verdict
        self.spans = quota.spans
        self.latest = at
        self._counts = [(before, count + cost) for before, count in counts]
        return Verdict(
            True,
            quota.none,
            tuple([left - cost for left in verdict.remaining]),
            tuple([at - at % window + 2 * window - now for window in quota.windows]),
        )

    def _hit_single(self, quota: Quota, cost: int, now: int) -> Verdict:
        """The same for one limit, without the lists: twice as fast."""
        units, window = self.spans[0]
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
        passed = at % window
        start = at - passed
        before, count = self._counts[0]
        if start > latest:
            before, count = count if start - window <= latest else 0, 0
        left = units - cost - count - (_weighted(before, window, passed) if before else 0)
        if left < 0:
            return _told(self.spans, cost, now, at, [(before, count)])
        self.latest = at
        self._counts[0] = (before, count + cost)
        return Verdict(True, quota.none, (left,), (start + 2 * window - now,))

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        return _told(quota.spans, cost, now, *self._as_of(quota.spans, now))

    def _as_of(self, spans: Spans, now: int) -> tuple[int, list[Counts]]:
        """Return the time that `now` counts as, and the counts of the windows of `spans` then."""
        latest = self.latest
        known = self._counts
        if spans is not self.spans:
            known = [known[i] for i in predecessors(self.spans, spans)]
        if now <= latest:
            return latest, known
        counts: list[Counts] = []
        for (before, count), (_, window) in zip(known, spans):  # noqa: B905  # strict costs 90 ns
            start = now - now % window
            if start <= latest:
                counts.append((before, count))
            else:
                counts.append((count, 0) if start - window <= latest else (0, 0))
        return now, counts

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        self._counts = [
            (max(0, before + min(0, count - cost)), max(0, count - cost)) for before, count in self._counts
        ]

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [(0, 0)] * len(self._counts)
        self.latest = _LONG_AGO

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the state may be dropped."""
        return not any(before or count for before, count in self._as_of(self.spans, now)[1])

    def used(self, now: int) -> int:
        """Return how many units still count, under the limit where that is most."""
        at, counts = self._as_of(self.spans, now)
        return max(
            count + _weighted(before, window, at % window)
            for (before, count), (_, window) in zip(counts, self.spans, strict=True)
        )

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits the quota last applied; 0 if it fits now."""
        return max(_told(self.spans, 1, now, *self._as_of(self.spans, now)).retry)

    def body(self) -> bytes:
        """Return the counts as bytes."""
        numbers = [number for pair in self._counts for number in pair]
        return struct.pack(f">{len(numbers)}q", *numbers)

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> SlidingCounter:
        """Return what `body` was made of; raises `struct.error` if it was not."""
        state = cls(quota)
        state.latest = latest
        numbers = struct.unpack(f">{2 * len(quota.spans)}q", body)
        state._counts = list(zip(numbers[::2], numbers[1::2], strict=True))
        return state


def _weighted(before: int, window: int, passed: int) -> int:
    """Return how many of `before`, rounded up, count when `passed` of the next window is over."""
    tick = (window >> _TICK_BITS) or 1
    ticks = -(-window // tick)
    return -(-before * (ticks - passed // tick) // ticks)


def _wait(before: int, window: int, room: int) -> int:
    """Return after how much of the next window no more than `room` of `before` count."""
    tick = (window >> _TICK_BITS) or 1
    ticks = -(-window // tick)
    return min(window, (ticks - room * ticks // before) * tick)


def _told(spans: Spans, cost: int, now: int, at: int, counts: list[Counts]) -> Verdict:
    """Return the verdict on a cost that was not consumed."""
    retry: list[int] = []
    remaining: list[int] = []
    reset: list[int] = []
    allowed = True
    for (before, count), (units, window) in zip(counts, spans):  # noqa: B905
        passed = at % window
        start = at - passed - now
        used = count + _weighted(before, window, passed)
        if used + cost <= units:
            retry.append(0)
        else:
            allowed = False
            if cost > units:
                retry.append(NEVER)
            elif count + cost <= units:
                retry.append(start + _wait(before, window, units - cost - count))
            else:
                retry.append(start + window + _wait(count, window, units - cost))
        remaining.append(units - used if used < units else 0)
        reset.append(start + 2 * window if count else start + window if before else 0)
    return Verdict(allowed, tuple(retry), tuple(remaining), tuple(reset))
