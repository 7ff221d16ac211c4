"""The sliding window of one key for limits of any size: a log for the small ones, parts for the large.

This file does not know: clocks, locks, keys, events, floats. Times are integer microseconds.

Up to `EXACT` units a log of times is small and exact; above it, parts take no more memory the larger
the limit. A key whose limits are all small has a log, one with a single large limit has parts; all
others have a log and parts side by side, judged together and then written together.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar

from scalekit.ratelimit._quota import Verdict
from scalekit.ratelimit._sliding_log import SlidingLog
from scalekit.ratelimit._sliding_parts import BODY, SlidingParts
from scalekit.ratelimit._state import predecessors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.ratelimit._quota import Quota, Spans
    from scalekit.ratelimit._state import KeyState


_LONG_AGO = -(1 << 62)


def sliding_window(quota: Quota) -> KeyState:
    """Return the smallest state that serves `quota`."""
    if not quota.coarse:
        return SlidingLog(quota)
    return SlidingParts(quota) if quota.coarse[0] is quota else SlidingWindow(quota, *_nothing(quota))


def _nothing(quota: Quota) -> tuple[SlidingLog | None, list[SlidingParts]]:
    log = None if quota.fine is None else SlidingLog(quota.fine)
    return log, [SlidingParts(one) for one in quota.coarse]


def succeeding(state: KeyState) -> KeyState:
    """Return a state that knows what `state`, which raised `OtherRule`, does, and serves any quota."""
    if isinstance(state, SlidingLog):
        return SlidingWindow(state.quota, state, [], state.latest)
    assert isinstance(state, SlidingParts)  # noqa: S101  # no other raises it
    return SlidingWindow(state.quota, None, [state], state.latest)


class SlidingWindow:
    """What one key has consumed, and the rule that says whether it may consume more.

    Never admits more than `units` in any window: exact for limits up to `EXACT` units, and as
    `SlidingParts` above them. Time never runs backwards for a key. When the quota changes, a limit takes
    over from the one with the same window, else from the next longer; what it takes over from another kind
    counts as if consumed last, so that nothing comes back too early.
    """

    kind: ClassVar[bytes] = b"W"

    __slots__ = ("_log", "_parts", "latest", "quota")

    def __init__(
        self, quota: Quota, log: SlidingLog | None, parts: list[SlidingParts], latest: int = _LONG_AGO
    ) -> None:
        self.quota = quota
        self._log: SlidingLog | None = log
        self._parts: list[SlidingParts] = parts
        self.latest = latest

    @property
    def spans(self) -> Spans:
        """Of the quota last applied."""
        return self.quota.spans

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        latest = self.latest
        at = now if now > latest else latest  # noqa: FURB136  # max() takes three times as long
        log, parts = (self._log, self._parts) if quota is self.quota else self._under(quota, at)
        fine = quota.fine
        remaining: list[int] = []
        if log is not None and fine is not None:
            counts = log.counts(fine, at)
            remaining = [units - cost - count for units, count in zip(fine.units, counts)]  # noqa: B905  # 90 ns
        for part in parts:
            remaining.append(part.left(at) - cost)
        if min(remaining) < 0:
            return _told(quota, cost, now, log, parts)
        self.quota, self._log, self._parts, self.latest = quota, log, parts, at
        reset: list[int] = []
        if log is not None and fine is not None:
            log.take(fine, cost, at)
            reset = [at + window - now for window in fine.windows]
        for part in parts:
            reset.append(part.take(cost, at) - now)
        if quota.order is not None:
            return _in_order(quota, True, quota.none, remaining, reset)
        return Verdict(True, quota.none, tuple(remaining), tuple(reset))

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        at = max(now, self.latest)
        log, parts = (self._log, self._parts) if quota is self.quota else self._under(quota, at)
        return _told(quota, cost, now, log, parts)

    def _under(self, quota: Quota, at: int) -> tuple[SlidingLog | None, list[SlidingParts]]:
        """Return the log and the parts for another quota, and change nothing."""
        spans = self.quota.spans
        counts = self._counts(at)
        known = {part.quota.spans[0]: part for part in self._parts}
        parts: list[SlidingParts] = []
        for one, i in zip(
            quota.coarse, predecessors(spans, [one.spans[0] for one in quota.coarse]), strict=True
        ):
            part = known.get(spans[i])
            like = None if part is None else part.like(one)
            if like is None:
                like = SlidingParts(one)
                if counts[i]:
                    like.take(min(counts[i], one.largest), self.latest)
            parts.append(like)
        fine = quota.fine
        if fine is None:
            return None, parts
        taken = [
            min(counts[i], units)
            for units, i in zip(fine.units, predecessors(spans, fine.spans), strict=True)
            if spans[i] in known
        ]
        log = self._log
        if log is None or any(taken):
            log = SlidingLog(fine)
            if any(taken):
                log.take(fine, max(taken), self.latest)
        return log, parts

    def _counts(self, at: int) -> list[int]:
        """Return how many units count under each limit, in the order of the quota."""
        log, fine = self._log, self.quota.fine
        counts = [] if log is None or fine is None else log.counts(fine, at)
        counts += [part.used(at) for part in self._parts]
        order = self.quota.order
        return counts if order is None else [counts[i] for i in order]

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        if self._log is not None:
            self._log.refund(cost)
        for part in self._parts:
            part.refund(cost)

    def clear(self) -> None:
        """Forget everything."""
        self._log, self._parts = _nothing(self.quota)
        self.latest = _LONG_AGO

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the state may be dropped."""
        return (self._log is None or self._log.expired(now)) and all(
            part.expired(now) for part in self._parts
        )

    def used(self, now: int) -> int:
        """Return how many units still count, under the limit where that is most."""
        return max(self._counts(max(now, self.latest)))

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits the quota last applied; 0 if it fits now."""
        return max(self.peek(self.quota, 1, now).retry)

    def body(self) -> bytes:
        """Return the parts, each with its latest admission, and then the log, as bytes."""
        parts = b"".join(struct.pack(">q", part.latest) + part.body() for part in self._parts)
        return parts if self._log is None else parts + struct.pack(">q", self._log.latest) + self._log.body()

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> SlidingWindow:
        """Return what `body` was made of; raises `ValueError` or `struct.error` if it was not."""
        log: SlidingLog | None = None
        parts: list[SlidingParts] = []
        for one in quota.coarse:
            parts.append(SlidingParts.restored(one, *_split(body, BODY.size)))
            body = body[8 + BODY.size :]
        if quota.fine is not None:
            log = SlidingLog.restored(quota.fine, *_split(body, len(body)))
        return cls(quota, log, parts, latest)


def _split(body: bytes, size: int) -> tuple[int, bytes]:
    """Return a latest admission, and the `size` bytes after it."""
    return struct.unpack_from(">q", body)[0], body[8 : 8 + size]


def _told(quota: Quota, cost: int, now: int, log: SlidingLog | None, parts: list[SlidingParts]) -> Verdict:
    """Return the verdict on a cost that was not consumed."""
    verdicts = [part.told(part.quota, cost, now) for part in parts]
    if log is not None and quota.fine is not None:
        verdicts.insert(0, log.peek(quota.fine, cost, now))
    return _in_order(
        quota,
        all(verdict.allowed for verdict in verdicts),
        [wait for verdict in verdicts for wait in verdict.retry],
        [left for verdict in verdicts for left in verdict.remaining],
        [wait for verdict in verdicts for wait in verdict.reset],
    )


def _in_order(
    quota: Quota,
    allowed: bool,  # noqa: FBT001  # as Verdict has it
    retry: Sequence[int],
    remaining: Sequence[int],
    reset: Sequence[int],
) -> Verdict:
    """Return the verdict in the order of the quota, from one of the fine limits followed by the coarse."""
    order = quota.order
    if order is None:
        return Verdict(allowed, tuple(retry), tuple(remaining), tuple(reset))
    return Verdict(
        allowed,
        tuple([retry[i] for i in order]),
        tuple([remaining[i] for i in order]),
        tuple([reset[i] for i in order]),
    )
