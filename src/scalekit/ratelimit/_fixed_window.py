"""The fixed window counter of one key, for any number of limits at once.

This file does not know: clocks, locks, keys, events, floats. Times are integer microseconds.

Time is cut into windows that begin at the multiples of their length, by the clock of the store; a limit
of `units` admits as many in each. (Folklore; it is what most programs write first.)

Memory: two integers for one limit, one more for each other.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar

from scalekit.ratelimit._quota import NEVER, Verdict
from scalekit.ratelimit._state import predecessors

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Spans

_LONG_AGO = -(1 << 62)


class FixedWindow:
    """What one key has consumed, and the rule that says whether it may consume more.

    Worst case: a burst at the end of a window and another at the start of the next, `2 x units` in an
    instant. Time never runs backwards for a key. When the quota changes, a limit takes over the count
    of the one with the same window, or the next longer.
    """

    kind: ClassVar[bytes] = b"F"

    __slots__ = ("_counts", "latest", "spans")

    def __init__(self, quota: Quota) -> None:
        self.spans = quota.spans
        self._counts = [0] * len(quota.spans)
        self.latest = _LONG_AGO

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        spans = quota.spans
        if quota.single is not None and spans is self.spans:
            # The same for one limit, without the lists: twice as fast.
            units, window = quota.single
            latest = self.latest
            at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
            start = at - at % window
            count = self._counts[0] if start <= latest else 0
            if count + cost > units:
                return _told(spans, cost, now, at, [count])
            self.latest = at
            self._counts[0] = count = count + cost
            return Verdict(True, quota.none, (units - count,), (start + window - now,))
        at, counts = self._as_of(spans, now)
        for count, units in zip(counts, quota.units):  # noqa: B905  # strict costs 90 ns
            if count + cost > units:
                return _told(spans, cost, now, at, counts)
        counts = [count + cost for count in counts]
        self.latest = at
        self._counts = counts
        self.spans = spans
        return Verdict(
            True,
            quota.none,
            tuple([units - count for units, count in zip(quota.units, counts)]),  # noqa: B905
            tuple([at - at % window + window - now for window in quota.windows]),
        )

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        return _told(quota.spans, cost, now, *self._as_of(quota.spans, now))

    def _as_of(self, spans: Spans, now: int) -> tuple[int, list[int]]:
        """Return the time that `now` counts as, and the counts of the windows of `spans` then."""
        latest = self.latest
        counts = self._counts
        if spans is not self.spans:
            counts = [counts[i] for i in predecessors(self.spans, spans)]
        if now <= latest:
            return latest, counts
        return now, [
            count if now - now % window <= latest else 0
            for count, (_, window) in zip(counts, spans)  # noqa: B905
        ]

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        self._counts = [max(0, count - cost) for count in self._counts]

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * len(self._counts)
        self.latest = _LONG_AGO

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the state may be dropped."""
        return not any(self._as_of(self.spans, now)[1])

    def used(self, now: int) -> int:
        """Return how many units still count, under the limit where that is most."""
        return max(self._as_of(self.spans, now)[1])

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits the quota last applied; 0 if it fits now."""
        return max(_told(self.spans, 1, now, *self._as_of(self.spans, now)).retry)

    def body(self) -> bytes:
        """Return the counts as bytes."""
        return struct.pack(f">{len(self._counts)}q", *self._counts)

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> FixedWindow:
        """Return what `body` was made of; raises `struct.error` if it was not."""
        state = cls(quota)
        state.latest = latest
        state._counts = list(struct.unpack(f">{len(quota.spans)}q", body))
        return state


def _told(spans: Spans, cost: int, now: int, at: int, counts: list[int]) -> Verdict:
    """Return the verdict on a cost that was not consumed."""
    retry: list[int] = []
    remaining: list[int] = []
    reset: list[int] = []
    allowed = True
    for count, (units, window) in zip(counts, spans):  # noqa: B905
        end = at - at % window + window - now
        if count + cost <= units:
            retry.append(0)
        else:
            allowed = False
            retry.append(end if cost <= units else NEVER)
        remaining.append(units - count if count < units else 0)
        reset.append(end if count else 0)
    return Verdict(allowed, tuple(retry), tuple(remaining), tuple(reset))
