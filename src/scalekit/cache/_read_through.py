"""Reading through the cache: from a slot to a value, loaded at most once for all who ask together.

This file decides nothing about meaning: `_freshness` says what an entry is good for, `_flight` who loads,
`_pending` what must not be believed. Here it comes together, in the order that keeps the law: the
snapshot before the load, and what is served after a failed load read anew.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._background import Background
from scalekit.cache._chance import chance
from scalekit.cache._elections import Elections
from scalekit.cache._entry import Blind, Entry, Snapshot
from scalekit.cache._flight import Flights
from scalekit.cache._freshness import SERVED, Standing, entry_of, standing
from scalekit.cache._holdoff import Holdoff
from scalekit.cache._invalidations import Invalidations
from scalekit.cache._pending import believed
from scalekit.cache._raised import Raised, unwrapped
from scalekit.cache._stores import loaded
from scalekit.errors import BackendError, ConfigurationError, SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit._time import Clock
    from scalekit.cache._entry import Slot
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._stores import Failure
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import CacheStore


class ReadThrough:
    """A store behind its loaders, for one `Cache`."""

    def __init__(
        self, store: CacheStore, *, clock: Clock, watch: Watch, failure: Failure, everything: str
    ) -> None:
        self.store = store
        self.clock = clock
        self.watch = watch
        self.flights = Flights()
        self.background = Background()
        self.invalidations = Invalidations(
            store, self.background, clock=clock, watch=watch, failure=failure, everything=everything
        )
        self.elections = Elections(store, self.background, clock=clock, watch=watch)
        self._raises = failure.raises
        self._holdoff = Holdoff()

    def look(self, slot: Slot) -> Entry | Snapshot:
        """Return what the store has for `slot`; a `Blind` one where it fails, or cannot be believed."""
        doubt = self.invalidations.doubts(slot) if self.invalidations else None
        if doubt == "all":
            return self.invalidations.blind
        try:
            found = self.store.read(slot, self.clock())
        except BackendError as error:
            self.excuse("read", error, slot)
            return self.invalidations.blind
        return found if doubt is None or believed(found, doubt) else self.invalidations.blind

    def get(
        self,
        slot: Slot,
        load: Callable[[], Any],
        policy: CachePolicy,
        *,
        behind: Callable[[], Any] | None = None,
    ) -> Any:
        """Return the value of `slot`, loaded if need be, or raise what its load raised.

        `behind` is what loads behind the caller's back, if it must be told from what he waits for.
        """
        landed = self.flights.landed
        found = self.look(slot)
        drawn = chance() if policy.early_refresh else 1.0
        serve, reload = self.judged(slot, found, policy, drawn)
        if isinstance(found, Entry):
            if serve:
                if reload:
                    work = partial(self._reload, slot, found.snapshot, behind or load, policy, drawn)
                    self.background.start(slot.key, work)
                return unwrapped(found.value)
            found = self.begin(slot, found.snapshot, outdate=False)
        ident = (slot.key, found if policy.lock else Blind.made())
        fill = partial(self._fill, slot, found, load, policy)
        timeout = cast("float | None", policy.load_timeout)
        try:
            return unwrapped(self.flights.join(ident, fill, landed=landed, timeout=timeout))
        except (ConfigurationError, SerialisationError):
            raise
        except Exception as error:
            if not policy.stale_if_error or isinstance(error, policy.cache_exceptions):
                raise
            reserve = self.reserve(slot, policy)
            if reserve is None:
                raise
            self.reserved(slot, reserve)
            return unwrapped(reserve.value)

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

    def refresh(self, slot: Slot, load: Callable[[], Any], policy: CachePolicy) -> Any:
        """Load now, whatever there is; a load that began before is outdated."""
        snapshot = self.begin(slot, None, outdate=True)
        fill = partial(self._fill_anew, slot, snapshot, load, policy)
        timeout = cast("float | None", policy.load_timeout)
        return unwrapped(self.flights.join((slot.key, snapshot), fill, landed=None, timeout=timeout))

    def put(self, slot: Slot, entry: Entry) -> None:
        """Store what is true now. If it is lost, an older value must not stay: it is an invalidation, too."""
        self.invalidations.blind = Blind.made()
        try:
            self.store.write(slot, entry, None, self.clock())
        except BackendError as error:
            self.invalidations.undelivered("write", error, (slot.key,), ())

    def begin(self, slot: Slot, snapshot: Snapshot | None, *, outdate: bool) -> Snapshot:
        """Return the snapshot to load with: the one given with a stale entry, or else the store's."""
        if snapshot is not None:
            return snapshot
        try:
            return self.store.begin(slot, self.clock(), outdate)
        except BackendError as error:
            self.excuse("begin", error, slot)
            return Blind.made() if outdate else self.invalidations.blind

    def _fill(
        self, slot: Slot, snapshot: Snapshot, load: Callable[[], Any], policy: CachePolicy, *, missed: bool
    ) -> Any:
        if missed:
            found = self.look(slot)
            if isinstance(found, Entry) and self.serves(found, policy):
                return found.value
        if policy.lock == "cluster" and not isinstance(snapshot, Blind):
            elected = partial(self._load, slot, load, policy)
            return self.elections.run(slot, snapshot, elected, policy, patient=True)
        return self._load(slot, load, policy, snapshot)

    def _fill_behind(
        self,
        slot: Slot,
        snapshot: Snapshot,
        load: Callable[[], Any],
        policy: CachePolicy,
        drawn: float,
        *,
        missed: bool,
    ) -> Any:
        del missed  # what has landed meanwhile is what it means to replace
        if policy.lock == "cluster":
            elected = partial(self._load, slot, load, policy)
            return self.elections.run(slot, snapshot, elected, policy, patient=False, drawn=drawn)
        return self._load(slot, load, policy, snapshot)

    def _fill_anew(
        self, slot: Slot, snapshot: Snapshot, load: Callable[[], Any], policy: CachePolicy, *, missed: bool
    ) -> Any:
        del missed
        return self._load(slot, load, policy, snapshot)

    def _load(self, slot: Slot, load: Callable[[], Any], policy: CachePolicy, snapshot: Snapshot) -> Any:
        """Run the loader and store what it brings, if that is still true."""
        started = self.clock()
        self.watch.counts.loads += 1
        try:
            value = loaded(load)
        except Exception as error:
            seconds = self.clock() - started
            self.watch.load(slot, "error", seconds)
            if not isinstance(error, policy.cache_exceptions):
                raise
            value = Raised(error)
        else:
            seconds = self.clock() - started
        now = self.clock()
        entry = entry_of(
            value, policy, now=now, load_seconds=seconds, chance=chance() if policy.jitter else 0.0
        )
        stored = False
        if not isinstance(snapshot, Blind):
            try:
                stored = self.store.write(slot, entry, snapshot, now)
            except BackendError as error:
                self.excuse("write", error, slot)
        if not isinstance(value, Raised):
            self.watch.load(slot, "ok" if stored else "outdated", seconds)
        return value

    def _reload(
        self,
        slot: Slot,
        snapshot: Snapshot | None,
        load: Callable[[], Any],
        policy: CachePolicy,
        drawn: float,
    ) -> None:
        """Load behind the callers' backs, unless another process does."""
        try:
            snapshot = self.begin(slot, snapshot, outdate=False)
            if isinstance(snapshot, Blind):
                return
            # Who leaves the load to another process has nothing to give to those who would join him.
            alone = policy.lock != "process"
            ident = (slot.key, Blind.made() if alone else snapshot)
            fill = partial(self._fill_behind, slot, snapshot, load, policy, drawn)
            self.flights.join(ident, fill, landed=None, timeout=None)
        except Exception:
            self.hold_off(slot)
            raise

    def hold_off(self, slot: Slot) -> None:
        """Let no reload of `slot` begin behind a caller's back, or with a reserve, for a while."""
        self._holdoff.begin(slot.key, self.clock())

    def reserve(self, slot: Slot, policy: CachePolicy) -> Entry | None:
        """Return what may answer for a load that failed: read anew, for it may be invalidated by now."""
        found = self.look(slot)
        if not isinstance(found, Entry) or standing(found, policy, self.clock(), 1.0) is Standing.ENDED:
            return None
        return found

    def reserved(self, slot: Slot, entry: Entry) -> None:
        """Count a call that was answered with a reserve, and let the next load wait for a while."""
        if entry.fresh_until <= self.clock():  # else another's load was luckier meanwhile
            self.hold_off(slot)
            self.watch.reserve(slot)

    def excuse(self, operation: str, error: BackendError, slot: Slot) -> None:
        """Take note that the store failed, where the value is then loaded instead; else raise."""
        self.watch.failed(operation, error, key=slot.key)
        if self._raises:
            raise error
