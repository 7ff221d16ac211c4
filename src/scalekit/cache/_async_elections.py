"""One process of many loads: elections by leases in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._chance import owner
from scalekit.cache._electing import PATIENCE, WAIT, check_electing
from scalekit.cache._entry import Blind, Entry
from scalekit.cache._freshness import Standing, standing
from scalekit.cache._many import is_absent
from scalekit.cache._settled import async_leasing
from scalekit.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit._time import Clock
    from scalekit.cache._async_background import AsyncBackground
    from scalekit.cache._entry import Slot, Snapshot
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._watch import Watch
    from scalekit.cache.protocols import AsyncCacheStore


class AsyncElections:
    """The elections of one `AsyncCache`. They only save work: to lose a lease never raises to a caller."""

    def __init__(
        self, store: AsyncCacheStore, background: AsyncBackground, *, clock: Clock, watch: Watch
    ) -> None:
        self._store = store
        self._leases = async_leasing(store)
        self._background = background
        self._clock = clock
        self._watch = watch
        self._held: set[str] = set()

    def check(self, policy: CachePolicy) -> None:
        """Raise `ConfigurationError` for a policy that needs elections on a store that has none."""
        check_electing(policy, self._leases)

    async def run(
        self,
        slot: Slot,
        snapshot: Snapshot,
        load: Callable[[Snapshot], Any],
        policy: CachePolicy,
        *,
        patient: bool,
        drawn: float = 1.0,
    ) -> Any:
        """Load as the one process that is elected to, or return what another has loaded meanwhile.

        Who is not `patient` leaves it to the other, and gets None. `drawn` is the chance by which the entry
        that is to be replaced was judged: a newer one makes the load needless, that one itself does not.
        """
        leases = cast("Any", self._leases)
        name, seconds = owner(), cast("float", policy.lease)
        if slot.key in self._held:  # a load that came back to its own key
            return await load(snapshot)
        try:
            found, elected = await self._turn(slot, snapshot, name, policy, patient=patient, drawn=drawn)
        except BaseException:  # an interrupt or a cancellation, perhaps of who was elected
            await self._release(slot, name)
            raise
        if not elected:
            return found.value if isinstance(found, Entry) else None
        # After an invalidation since we began, the newer tokens are as good.
        snapshot = snapshot if isinstance(found, Entry) else found

        async def renew() -> bool:
            try:
                return bool(await leases.acquire(slot.key, name, seconds))
            except BackendError as error:
                self._watch.failed("acquire", error, key=slot.key)
                return True

        self._held.add(slot.key)
        try:
            async with self._background.repeating(renew, every=seconds / 3):
                return await load(snapshot)
        finally:
            self._held.discard(slot.key)
            await self._release(slot, name)

    async def _turn(
        self,
        slot: Slot,
        snapshot: Snapshot,
        name: bytes,
        policy: CachePolicy,
        *,
        patient: bool,
        drawn: float,
    ) -> tuple[Entry | Snapshot, bool]:
        """Wait for the lease or for what its holder loads; return what the store has, and whether to load."""
        leases, seconds = cast("Any", self._leases), cast("float", policy.lease)
        ends = self._clock() + PATIENCE * seconds
        operation = "acquire"
        try:
            while True:
                operation = "acquire"
                elected = await leases.acquire(slot.key, name, seconds)
                operation = "read"
                found = await self._store.read(slot, self._clock())
                if (
                    isinstance(found, Entry)
                    and not is_absent(found.value)
                    and standing(found, policy, self._clock(), drawn) is Standing.FRESH
                ):
                    if elected:
                        await self._release(slot, name)
                    return found, False
                if elected or self._clock() >= ends:
                    return found, True
                if not patient:
                    return Blind.made(), False
                operation = "wait"
                await leases.wait(slot.key, WAIT)
        except BackendError as error:
            self._watch.failed(operation, error, key=slot.key)
            return snapshot, True  # elected or not: what was not acquired is not released either

    async def _release(self, slot: Slot, name: bytes) -> None:
        try:
            await cast("Any", self._leases).release(slot.key, name)
        except BackendError as error:  # it ends by itself
            self._watch.failed("release", error, key=slot.key)
