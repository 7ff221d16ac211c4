"""Reading through the cache: from a slot to a value, loaded at most once for all who ask together.

This file decides nothing about meaning: `_judging` says what an entry is good for, `_flight` who loads,
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
from scalekit.cache._freshness import entry_of
from scalekit.cache._invalidations import Invalidations
from scalekit.cache._judging import Judging
from scalekit.cache._loader import loaded
from scalekit.cache._many import is_absent
from scalekit.cache._pending import believed
from scalekit.cache._raised import Raised, unwrapped
from scalekit.errors import BackendError, ConfigurationError, SerialisationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit._time import Clock
    from scalekit.cache._entry import Slot
    from scalekit.cache._failure import Failure
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import CacheStore


class ReadThrough(Judging):
    """A store behind its loaders, for one `Cache`."""

    def __init__(
        self, store: CacheStore, *, clock: Clock, watch: Watch, failure: Failure, everything: str
    ) -> None:
        super().__init__(clock=clock, watch=watch, raises=failure.raises)
        self.store = store
        self.flights = Flights()
        self.background = Background()
        self.invalidations = Invalidations(
            store, self.background, clock=clock, watch=watch, failure=failure, everything=everything
        )
        self.elections = Elections(store, self.background, clock=clock, watch=watch)

    def look(self, slot: Slot) -> Entry | Snapshot:
        """Return what the store has for `slot`; a `Blind` one where it fails, or cannot be believed."""
        doubt = self.invalidations.doubts(slot) if self.invalidations else None
        if doubt == "all":
            return self.invalidations.blind
        try:
            # A near tier cannot say whether its copy carries tags that the slot does not name; a far one can.
            asked = slot if doubt is None else slot._replace(l1=False)
            found = self.store.read(asked, self.clock())
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
        if isinstance(found, Entry) and is_absent(found.value):  # of `cached_many`: no answer here
            found = self.begin(slot, found.snapshot, outdate=False)
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
            value = self.flights.join(ident, fill, landed=landed, timeout=timeout)
            return unwrapped(fill(missed=True) if is_absent(value) else value)
        except (ConfigurationError, SerialisationError):
            raise
        except Exception as error:
            if not policy.stale_if_error or isinstance(error, policy.cache_exceptions):
                raise
            # Read anew, for it may be invalidated by now.
            reserve = self.reserve_in(self.look(slot), policy)
            if reserve is None or is_absent(reserve.value):
                raise
            self.reserved(slot, reserve, error)
            return unwrapped(reserve.value)

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
            self.invalidations.unwritten(error, slot)
        else:
            self.watch.told("set", key=slot.key, tags=slot.tags)

    def begin(self, slot: Slot, snapshot: Snapshot | None, *, outdate: bool) -> Snapshot:
        """Return the snapshot to load with: the one given with a stale entry, or else the store's."""
        if snapshot is not None:
            return snapshot
        try:
            return self.store.begin(slot, self.clock(), outdate)
        except BackendError as error:
            self.excuse("begin", error, slot)
            return self.invalidations.blind_for(outdate=outdate)

    def _fill(
        self, slot: Slot, snapshot: Snapshot, load: Callable[[], Any], policy: CachePolicy, *, missed: bool
    ) -> Any:
        if missed:
            found = self.look(slot)
            if isinstance(found, Entry) and self.serves(found, policy) and not is_absent(found.value):
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
            self.watch.load(slot, "error", seconds, error)
            if not isinstance(error, policy.cache_exceptions):
                raise
            value = Raised(error)
        else:
            seconds = self.clock() - started
        now = self.clock()
        entry = entry_of(
            value, policy, now=now, load_seconds=seconds, chance=chance() if policy.jitter else 0.0
        )
        try:
            stored = self._store(slot, entry, snapshot, now)
        except Exception as error:  # the value cannot be written as it is, or the store is asked to raise
            if not isinstance(value, Raised):
                self.watch.load(slot, "error", seconds, error)
            raise
        if not isinstance(value, Raised):  # of that load the event is out
            self.watch.load(slot, "ok" if stored else "outdated", seconds)
        return value

    def _store(self, slot: Slot, entry: Entry, snapshot: Snapshot, now: float) -> bool:
        """Store what was loaded if it is still true; return whether it is stored."""
        if isinstance(snapshot, Blind):
            return False
        try:
            return self.store.write(slot, entry, snapshot, now)
        except BackendError as error:
            self.excuse("write", error, slot)
            return False

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
        except Exception as error:
            self.failed_unseen([slot], error)
            raise
