"""What a store keeps per key: a state, whose class is the rule of an algorithm.

All rules are pure and alike: integer microseconds and units in, a `Verdict` out. A store that holds
Python objects keeps states; one that holds rows keeps what `packed` makes of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.ratelimit._quota import Quota, Span, Spans, Verdict

_HOMES = {
    "sliding-window": ("_sliding_window", "sliding_window"),
    "sliding-log": ("_sliding_log", "SlidingLog"),
    "sliding-counter": ("_sliding_counter", "SlidingCounter"),
    "gcra": ("_gcra", "Gcra"),
    "token-bucket": ("_gcra", "Gcra"),  # the same rule, told by its other story
    "fixed-window": ("_fixed_window", "FixedWindow"),
}


class OtherRule(Exception):  # no fault: a state asks for its successor
    """Raised by a state that cannot serve a quota: `succeeding` returns one that can."""


class KeyState(Protocol):
    """What one key has consumed, and the rule that says whether it may consume more.

    Time never runs backwards for a key: a `now` before its latest admission counts as that one's time.
    When the quota changes, what was consumed stays, as far as the state can tell: a limit takes over
    from the one with the same window, else from the next longer. Some states serve only the kind of
    quota they were made for: they raise `OtherRule` before they change anything.
    """

    kind: ClassVar[bytes]
    """The letter of its packed form."""

    @property
    def spans(self) -> Spans:
        """Of the quota last applied."""
        ...

    @property
    def latest(self) -> int:
        """When the last cost was admitted, even if it was refunded."""
        ...

    def hit(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Admit `cost` under every limit of `quota` and consume it from all, or from none."""
        ...

    def peek(self, quota: Quota, cost: int, now: int) -> Verdict:
        """Return what a hit would be told, with the units that remain before it."""
        ...

    def refund(self, cost: int) -> None:
        """Take back the newest `cost` units, as if they had not been consumed; more than all is all."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def expired(self, now: int) -> bool:
        """Whether nothing that was consumed counts any more, so that the state may be dropped."""
        ...

    def used(self, now: int) -> int:
        """Return how many units still count, under the limit where that is most."""
        ...

    def blocked(self, now: int) -> int:
        """Return the microseconds until one more unit fits the quota last applied; 0 if it fits now."""
        ...

    def body(self) -> bytes:
        """Return what it keeps, apart from `spans` and `latest`, as bytes."""
        ...

    @classmethod
    def restored(cls, quota: Quota, latest: int, body: bytes) -> KeyState:
        """Return what `body` was made of; raises `ValueError` or `struct.error` if it was not."""
        ...


_rules: dict[str, Callable[[Quota], KeyState]] = {}


def fresh(quota: Quota) -> KeyState:
    """Return the state of a key that consumed nothing, with the rule of the quota's algorithm."""
    return (_rules.get(quota.algorithm) or _loaded(quota.algorithm))(quota)


def _loaded(algorithm: str) -> Callable[[Quota], KeyState]:
    """Import a rule when it is first used: most programs use one."""
    module, name = _HOMES[algorithm]
    rule: Callable[[Quota], KeyState] = getattr(import_module(f"scalekit.ratelimit.{module}"), name)
    _rules[algorithm] = rule
    return rule


def succeeding(state: KeyState) -> KeyState:
    """Return a state that knows what `state`, which raised `OtherRule`, does, and serves any quota."""
    from scalekit.ratelimit import _sliding_window  # noqa: PLC0415  # few programs need it

    return _sliding_window.succeeding(state)


def predecessors(old: Sequence[Span], new: Sequence[Span]) -> list[int]:
    """Return, for each (units, window) of `new`, which of `old` its count is taken over from.

    That of the same window; else of the next longer one, which has counted all that matters and perhaps
    more; else of the longest. Among equals, the first.
    """
    chosen: list[int] = []
    for _, window in new:
        longer = [(span, i) for i, (_, span) in enumerate(old) if span >= window]
        chosen.append(min(longer)[1] if longer else min((-span, i) for i, (_, span) in enumerate(old))[1])
    return chosen
