# ruff: noqa: S101  # a suite of tests asserts
"""The part of `CacheStoreSuite` about leases (`LeasingCacheStore`)."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from scalekit.testing._cache_probe import LONG, SHORT, CacheStoreTests, called, fresh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_OWNERS = 8
_TURNS = 5
_ODD_KEYS = ["", " ", "\0", "é", "e\u0301", "{a}", "{a}b", "a:b", "%s", "\ud800", "x" * 1_000, "x" * 1_001]


class LeaseTests(CacheStoreTests):
    """Tests of leases. Nothing in them depends on the speed of the machine."""

    def _acquire(self, key: str, owner: bytes, seconds: float = LONG) -> bool:
        got = self._probe.driver(self._probe.store.acquire, key, owner, seconds)
        assert isinstance(got, bool), f"acquire() must return whether the lease was got; got {got!r}"
        return got

    def _release(self, key: str, owner: bytes) -> None:
        self._probe.driver(self._probe.store.release, key, owner)

    def _acquire_soon(self, key: str, owner: bytes) -> None:
        deadline = time.monotonic() + self.patience
        while not self._acquire(key, owner):
            assert time.monotonic() < deadline, "a lease that has ended is not free"
            time.sleep(SHORT / 5)

    def test_a_lease_has_one_owner(self) -> None:
        """A lease has one owner, who may renew it."""
        key = f"suite:lease{next(fresh)}"
        assert self._acquire(key, b"one")
        assert not self._acquire(key, b"two")
        assert self._acquire(key, b"one"), "its owner renews it"
        assert not self._acquire(key, b"two")

    def test_a_lease_is_given_back_by_its_owner_alone(self) -> None:
        """A lease is given back by its owner alone."""
        key = f"suite:lease{next(fresh)}"
        self._release(key, b"one")
        assert self._acquire(key, b"one")
        self._release(key, b"two")
        assert not self._acquire(key, b"two")
        self._release(key, b"one")
        assert self._acquire(key, b"two")
        self._release(key, b"one")
        assert not self._acquire(key, b"one"), "a former owner takes away nothing"

    def test_a_lease_ends_by_itself(self) -> None:
        """A lease ends by itself, and its former owner is then one like any other."""
        key = f"suite:lease{next(fresh)}"
        assert self._acquire(key, b"one", SHORT)
        self._acquire_soon(key, b"two")
        assert not self._acquire(key, b"one")
        self._release(key, b"one")
        assert not self._acquire(key, b"three")

    def test_a_renewed_lease_lasts_longer(self) -> None:
        """A renewed lease lasts longer."""
        key, other = f"suite:lease{next(fresh)}", f"suite:lease{next(fresh)}"
        assert self._acquire(key, b"one", SHORT)
        assert self._acquire(key, b"one", LONG)
        assert self._acquire(other, b"one", 2 * SHORT)
        self._acquire_soon(other, b"two")
        assert not self._acquire(key, b"two"), "it ended when it would have without the renewal"

    def test_leases_of_different_keys_are_different(self) -> None:
        """Leases of different keys are different."""
        number = next(fresh)
        owners = {f"suite:lease{number}{key}": b"%d" % i for i, key in enumerate(_ODD_KEYS)}
        for key, owner in owners.items():
            assert self._acquire(key, owner), f"{key!r} is not taken"
        first, *others = owners
        self._release(first, owners[first])
        assert not any(self._acquire(key, b"another") for key in others)
        assert self._acquire(first, b"another")

    def test_a_lease_has_nothing_to_do_with_the_entry(self) -> None:
        """A lease has nothing to do with the entry: values are kept right by snapshots."""
        slot = self._probe.slot("t")
        snapshot = self._probe.missed(slot)
        assert self._acquire(slot.key, b"one")
        assert self._probe.missed(slot) == snapshot
        assert self._probe.write(slot, "value", snapshot)
        self._release(slot.key, b"one")
        assert self._acquire(slot.key, b"two")
        assert self._probe.value(slot) == "value"
        self._probe.delete(slot.key)
        self._probe.invalidate(*slot.tags)
        assert not self._acquire(slot.key, b"one"), "deleting the entry takes nobody's lease"

    def test_of_many_who_ask_at_once_one_gets_it(self) -> None:
        """Of many who ask at once one gets it."""
        for _ in range(_TURNS):
            key = f"suite:lease{next(fresh)}"
            got: list[bytes] = []

            async def ask(owner: bytes, key: str = key, got: list[bytes] = got) -> None:
                if await called(self._probe.store.acquire, key, owner, LONG):
                    got.append(owner)

            self._probe.concurrently([partial(ask, b"%d" % owner) for owner in range(_OWNERS)])
            assert len(got) == 1, f"{len(got)} owners have one lease"

    def test_waiting_ends(self) -> None:
        """Waiting ends at once where there is no lease, and in time where it is not given back."""
        key, patience = f"suite:lease{next(fresh)}", self.patience
        self._within("there is no lease", lambda: called(self._probe.store.wait, key, patience))
        assert self._acquire(key, b"one", 2 * patience)
        self._within("the time has passed", lambda: called(self._probe.store.wait, key, SHORT))
        self._within("no time was given", lambda: called(self._probe.store.wait, key, 0.0))

    def test_who_waits_is_woken_when_the_lease_is_given_back(self) -> None:
        """Who waits is woken when the lease is given back."""
        for _ in range(_TURNS):
            key = f"suite:lease{next(fresh)}"
            assert self._acquire(key, b"one")
            woken: list[bytes] = []

            async def wait(owner: bytes, key: str = key, woken: list[bytes] = woken) -> None:
                await self._turn(key, owner)
                woken.append(owner)
                await called(self._probe.store.release, key, owner)

            async def release(key: str = key) -> None:
                await asyncio.sleep(SHORT / 5)
                await called(self._probe.store.release, key, b"one")

            waiters = [partial(wait, owner) for owner in (b"two", b"three", b"four")]
            self._within("the lease is given back", *waiters, release)
            assert len(woken) == len(waiters)

    def test_who_waits_is_woken_when_the_lease_ends(self) -> None:
        """Who waits is woken when the lease ends by itself, as when its owner has died."""
        key = f"suite:lease{next(fresh)}"
        assert self._acquire(key, b"one", SHORT)
        self._within("the lease has ended", lambda: called(self._probe.store.wait, key, self.patience))

    def test_many_take_turns(self) -> None:
        """Many take turns, and no two have the lease at the same time."""
        key = f"suite:lease{next(fresh)}"
        inside: list[bytes] = []
        turns: list[bytes] = []

        async def take_turns(owner: bytes) -> None:
            for _ in range(_TURNS):
                await self._turn(key, owner)
                inside.append(owner)
                await asyncio.sleep(0.0005)
                assert inside == [owner], f"{inside} have one lease"
                inside.remove(owner)
                turns.append(owner)
                await called(self._probe.store.release, key, owner)

        workers = [partial(take_turns, b"%d" % owner) for owner in range(_OWNERS)]
        self._within("somebody gives it back", *workers)
        assert len(turns) == _OWNERS * _TURNS

    async def _turn(self, key: str, owner: bytes) -> None:
        """Get the lease of `key`, and wait where that is necessary."""
        deadline = time.monotonic() + self.patience
        while not await called(self._probe.store.acquire, key, owner, LONG):
            # It may return earlier than the lease ends; then one asks, and waits again.
            assert time.monotonic() < deadline, "who waits must be awake when the lease is given back"
            await called(self._probe.store.wait, key, self.patience)

    def _within(self, when: str, *calls: Callable[[], Awaitable[None]]) -> None:
        """Run `calls` at once, and fail if they take longer than `patience`."""

        async def run(call: Callable[[], Awaitable[None]]) -> None:
            await call()

        began = time.monotonic()
        self._probe.concurrently([partial(run, call) for call in calls])
        assert time.monotonic() - began < self.patience, f"who waits must be awake when {when}"
