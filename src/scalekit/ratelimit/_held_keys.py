"""Keys with what each consumed, as many as there is room for.

This file does not know: clocks, locks, floats. Times are integer microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scalekit.ratelimit._first_hits import FirstHits
from scalekit.ratelimit._quota import Verdict
from scalekit.ratelimit._state import OtherRule, fresh, succeeding

if TYPE_CHECKING:
    from scalekit.ratelimit._first_hits import FirstHit
    from scalekit.ratelimit._quota import Quota
    from scalekit.ratelimit._state import KeyState

_SWEPT = 2  # per new key; more than one, so that the dead cannot outgrow the living
_SAMPLED = 8
_FOREVER = 1 << 62


class HeldKeys:
    """At most `bound` keys; when all still count, a new one takes the place of one not at its limit.

    A key is in `states` or in `_first_hits`. `_keys` holds them all, in no order, so that a hand can go
    round them: a dict offers no way to look at a few of its entries without starting over.
    """

    __slots__ = ("_first_hits", "_hand", "_keys", "bound", "states")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.states: dict[str, KeyState] = {}
        self._first_hits = FirstHits()
        self._keys: list[str] = []
        self._hand = 0

    def __len__(self) -> int:
        return len(self._keys)

    def state(self, key: str) -> KeyState | None:
        """Return what `key` consumed, if it is held."""
        state = self.states.get(key)
        if state is None:
            first = self._first_hits.get(key)
            if first is not None:
                return first.state()
        return state

    def refund(self, key: str, cost: int) -> None:
        """Take back the newest `cost` units of `key`."""
        state = self.state(key)
        if state is not None:
            state.refund(cost)
            self._keep(key, state)

    def reset(self, key: str) -> None:
        """Forget what `key` consumed."""
        state = self.state(key)
        if state is not None:
            state.clear()  # and stays until it is swept, since `_keys` has it, too
            self._keep(key, state)

    def early_hit(self, key: str, quota: Quota, cost: int, now: int) -> Verdict:
        """Answer for a key that was hit once, or not at all."""
        first = self._first_hits.get(key)
        if first is None:
            return self._first_hit(key, quota, cost, now)
        state = first.state()
        self._keep(key, state)
        try:
            return state.hit(quota, cost, now)
        except OtherRule:
            return self.other_hit(key, quota, cost, now)

    def _keep(self, key: str, state: KeyState) -> None:
        self.states[key] = state
        self._first_hits.discard(key)

    def _first_hit(self, key: str, quota: Quota, cost: int, now: int) -> Verdict:
        for _ in range(min(_SWEPT, len(self._keys))):
            self._drop_expired(now)
        state = fresh(quota)
        if cost <= quota.smallest and len(self._keys) >= self.bound:
            wait = self._make_room(now)
            if wait:
                every = len(quota.limits)
                return Verdict(False, (wait,) * every, (0,) * every, (wait,) * every)
        verdict = state.hit(quota, cost, now)
        if verdict.allowed:
            if cost > 1 or not self._first_hits.add(key, quota, now, state, verdict):
                self.states[key] = state
            self._keys.append(key)
        return verdict

    def other_hit(self, key: str, quota: Quota, cost: int, now: int) -> Verdict:
        """Answer for a key whose plan became one of another kind."""
        state = succeeding(self.states[key])
        verdict = state.hit(quota, cost, now)
        if verdict.allowed:
            self.states[key] = state
        return verdict

    def _drop_expired(self, now: int) -> None:
        self._hand = (self._hand or len(self._keys)) - 1
        key = self._keys[self._hand]
        state = self.states.get(key)
        if self._first_hits.expired(key, now) if state is None else state.expired(now):
            self._drop(self._hand)

    def _make_room(self, now: int) -> int:
        """Drop one key that is not at its limit; return the microseconds until there is one, or 0."""
        size = len(self._keys)
        wait, least, victim = _FOREVER, _FOREVER, -1
        for _ in range(min(_SAMPLED, size)):
            self._hand = (self._hand or size) - 1
            key = self._keys[self._hand]
            held = self.states.get(key) or cast("FirstHit", self._first_hits.get(key))
            used = held.used(now)
            if used < least:
                blocked = held.blocked(now)
                if blocked:
                    wait = min(wait, blocked)
                else:
                    least, victim = used, self._hand
                    if used <= 1:  # none can have less
                        break
        if victim < 0:
            return wait
        self._drop(victim)
        return 0

    def _drop(self, index: int) -> None:
        self.states.pop(self._keys[index], None)
        self._first_hits.discard(self._keys[index])
        last = self._keys.pop()
        if index < len(self._keys):
            self._keys[index] = last
        self._hand = min(self._hand, max(0, len(self._keys) - 1))
