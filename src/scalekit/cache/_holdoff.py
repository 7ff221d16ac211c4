"""For a while, not again: loads that have just failed."""

from __future__ import annotations

_PAUSE = 1.0
_MOST = 4_096


class Holdoff:
    """The keys whose reload failed within the last second while an old value could be served.

    Bounded: when more than `_MOST` keys are held off at once, all are let go, which costs each a load more.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def begin(self, key: str, now: float) -> None:
        """Hold loads of `key` off for a second."""
        if len(self._until) >= _MOST:
            holding = {name: until for name, until in list(self._until.items()) if until > now}
            self._until = holding if len(holding) < _MOST else {}
        self._until[key] = now + _PAUSE

    def holds(self, key: str, now: float) -> bool:
        """Whether loads of `key` are held off."""
        return bool(self._until) and self._until.get(key, now) > now
