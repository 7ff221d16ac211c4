"""The keys that were hit once, for one unit: nearly all of those that a flood brings.

Each is kept as bytes, which the garbage collector does not look at. It goes through every object that
may refer to others, now and then through all of them: 0.4 s with a million keys. The next hit makes of the
bytes the state that the first would have made.

This file does not know: clocks, locks, floats. Times are integer microseconds.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from scalekit.ratelimit._state import fresh

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota, Verdict
    from scalekit.ratelimit._state import KeyState

_FORM = struct.Struct("qqqh")
_MOST_QUOTAS = 256  # plans; should there be more, the keys of the others are kept as states


class FirstHit(NamedTuple):
    """A hit of one unit `at` a time, which counts until `end`; until `free` the key is at its limit."""

    at: int
    end: int
    free: int
    quota: Quota

    def state(self) -> KeyState:
        """Return the state of a key that was hit so."""
        state = fresh(self.quota)
        state.hit(self.quota, 1, self.at)
        return state

    def used(self, now: int) -> int:
        """Return how many units still count."""
        return 0 if self.end <= max(now, self.at) else 1

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits; 0 if it fits now."""
        return max(0, self.free - max(now, self.at))


class FirstHits:
    """The first hit of each key that had no other."""

    __slots__ = ("_forms", "_numbers", "_quotas")

    def __init__(self) -> None:
        self._forms: dict[str, bytes] = {}
        self._quotas: list[Quota] = []
        self._numbers: dict[Quota, int] = {}

    def add(self, key: str, quota: Quota, now: int, state: KeyState, verdict: Verdict) -> bool:
        """Keep the hit of one unit that made `state` of a fresh one; return whether there is room for it."""
        number = self._numbers.get(quota)
        if number is None:
            number = len(self._quotas)
            if number == _MOST_QUOTAS:
                return False
            self._quotas.append(quota)
            self._numbers[quota] = number
        free = now + state.blocked(now) if 0 in verdict.remaining else now
        self._forms[key] = _FORM.pack(now, now + max(verdict.reset), free, number)
        return True

    def get(self, key: str) -> FirstHit | None:
        """Return the first hit of `key`, if it had no other."""
        form = self._forms.get(key)
        if form is None:
            return None
        at, end, free, number = _FORM.unpack(form)
        return FirstHit(at, end, free, self._quotas[number])

    def expired(self, key: str, now: int) -> bool:
        """Whether the first hit of `key` counts no more."""
        # Of the bytes, without a `FirstHit`: two are looked at per new key.
        at: int
        end: int
        at, end, _, _ = _FORM.unpack(self._forms[key])
        return end <= now or end <= at

    def discard(self, key: str) -> None:
        """Forget `key`, if it is there."""
        self._forms.pop(key, None)
