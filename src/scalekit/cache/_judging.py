"""What a face makes of what its store had, and of failures: the same for both faces."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from scalekit.cache._entry import Entry
from scalekit.cache._freshness import SERVED, Standing, standing
from scalekit.cache._holdoff import Holdoff
from scalekit.cache._unseen import Unseen

if TYPE_CHECKING:
    from scalekit._time import Clock
    from scalekit.cache._entry import Slot, Snapshot
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._watch import Watch
    from scalekit.errors import BackendError

excusing: ContextVar[list[BackendError] | None] = ContextVar("scalekit.cache.excusing", default=None)
"""Where to put the failures that a call does not notice, for a caller who wants to know of them."""


class Judging:
    """Judges entries by a policy and the clock, and keeps the counts; it never asks the store."""

    def __init__(self, *, clock: Clock, watch: Watch, raises: bool) -> None:
        self.clock = clock
        self.watch = watch
        self._raises = raises
        self._holdoff = Holdoff()
        self._unseen = Unseen()

    def judged(
        self, slot: Slot, found: Entry | Snapshot, policy: CachePolicy, drawn: float
    ) -> tuple[bool, bool]:
        """Count a call that found this; return whether to serve it, and whether to reload it then."""
        if isinstance(found, Entry):
            now = self.clock()
            good_for = standing(found, policy, now, drawn)
            if good_for is Standing.FRESH:
                self.watch.hit(slot)
                return True, False
            held = self._holdoff.holds(slot.key, now)
            if good_for in SERVED or (good_for is Standing.RESERVE and held):
                self.watch.hit(slot, stale=good_for is not Standing.EARLY)
                return True, not held
        self.watch.miss(slot)
        return False, False

    def serves(self, found: Entry | Snapshot, policy: CachePolicy) -> bool:
        """Whether what was found is as good as what a load would bring."""
        return isinstance(found, Entry) and standing(found, policy, self.clock(), 1.0) in SERVED

    def reserve_in(self, found: Entry | Snapshot, policy: CachePolicy) -> Entry | None:
        """Return what was found if it may answer for a load that failed."""
        if not isinstance(found, Entry) or standing(found, policy, self.clock(), 1.0) is Standing.ENDED:
            return None
        return found

    def reserved(self, slot: Slot, entry: Entry, error: Exception) -> None:
        """Count a call whose load failed and that got a reserve, and let the next load wait for a while."""
        now = self.clock()
        self._unseen.tell(slot.key, error, now)
        if entry.fresh_until <= now:  # else another's load was luckier meanwhile
            self._holdoff.begin(slot.key, now)
            self.watch.reserve(slot)

    def failed_unseen(self, slots: list[Slot], error: Exception) -> None:
        """Let no reload of `slots` begin behind a caller's back, or with a reserve, for a while; log why."""
        now = self.clock()
        for slot in slots:
            self._holdoff.begin(slot.key, now)
        self._unseen.tell(slots[0].key, error, now)

    def excuse(self, operation: str, error: BackendError, slot: Slot) -> None:
        """Take note that the store failed, where the value is then loaded instead; else raise."""
        self.watch.failed(operation, error, key=slot.key)
        if self._raises:
            raise error
        excused = excusing.get()
        if excused is not None:
            excused.append(error)
