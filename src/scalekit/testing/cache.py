# ruff: noqa: S101, D102  # a suite of tests asserts, and its names say what
"""The conformance suite of cache stores.

    class TestMyStore(CacheStoreSuite):
        @pytest.fixture
        def store(self):
            return MyStore()

It runs sync and async stores alike, and compares them with a pure model. A store that goes by the
caller's `now` alone also offers the clock that the suite may move:

        @pytest.fixture
        def clock(self):
            return ManualClock()

Without it, lifetimes are measured in real time, and only that entries end is tested, not the instant.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from scalekit.cache import Entry, Slot
from scalekit.testing._cache_probe import LONG, SHORT, CacheStoreMachine, CacheStoreProbe, called, fresh
from scalekit.testing._driver import Driver
from scalekit.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scalekit._time import Clock

__all__ = ["CacheStoreSuite"]


_PATIENCE = 10.0
_UPDATES = 60
_READERS = 4
_ODD_NAMES = [
    *" aA*%\n\0'é🔑",
    "e\u0301",
    "a ",
    " a",
    "a:b",
    "a/b",
    "{a}",
    "a\0",
    "a\0b",
    "%s",
    "\ud800",
    "x" * 1_000,
    "x" * 1_001,
]
_VALUES = (None, False, 0, "", b"", b"\x00\xff" * 500, "é\0", [1, {"a": (2.5, None)}], {"k": "v" * 10_000})


class CacheStoreSuite:
    """Subclass it with a `store` fixture; every test proves a clause of `CacheStore`.

    A store that takes only some kinds of values may override `values`.
    """

    values: Sequence[Any] = _VALUES

    _probe: CacheStoreProbe

    @pytest.fixture
    def store(self) -> Any:
        """Return the store under test; override it."""
        raise NotImplementedError("a CacheStoreSuite needs a fixture named store")

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock that `now` is read from; a `ManualClock` if the store goes by `now` alone."""
        return time.monotonic

    @pytest.fixture(autouse=True)
    def _running(self, store: Any, clock: Clock) -> Iterator[None]:
        with Driver() as driver:
            self._probe = CacheStoreProbe(driver, store, clock)
            yield

    # -- entries ----------------------------------------------------------------------------------

    def test_what_is_written_is_read(self) -> None:
        slot = self._probe.slot("t")
        assert self._probe.write(slot, "value", self._probe.missed(slot))
        assert self._probe.value(slot) == "value"
        assert self._probe.value(slot) == "value"

    def test_every_value_comes_back_equal_and_of_its_type(self) -> None:
        for value in self.values:
            slot = self._probe.slot()
            assert self._probe.write(slot, value, self._probe.missed(slot))
            assert self._probe.value(slot) == value
            assert type(self._probe.value(slot)) is type(value)

    def test_an_entry_is_replaced_whole(self) -> None:
        slot = self._probe.slot("t")
        other = Slot(slot.key, (slot.tags[0],))
        self._probe.write(slot, "first")
        self._probe.write(other, "second")
        self._probe.invalidate(slot.tags[1])
        assert self._probe.value(slot) == "second", "the tag of a replaced value must not end the new one"

    def test_odd_names_are_told_apart(self) -> None:
        number = next(fresh)
        slots = [Slot(f"suite:{name}{number}", (f"suite:{name}{number}",)) for name in _ODD_NAMES]
        for i, slot in enumerate(slots):
            assert self._probe.write(slot, i, self._probe.missed(slot))
        assert [self._probe.value(slot) for slot in slots] == list(range(len(slots)))
        for i, slot in enumerate(slots):
            self._probe.invalidate(*slot.tags)
            self._probe.missed(slot)
            assert [self._probe.value(left) for left in slots[i + 1 :]] == list(range(i + 1, len(slots)))

    def test_a_key_and_a_tag_of_one_name_are_two_things(self) -> None:
        slot = Slot(f"suite:same{next(fresh)}", ("suite:own",))
        tagged = Slot(f"suite:other{next(fresh)}", (slot.key,))
        self._probe.write(slot, "by key")
        self._probe.write(tagged, "by tag")
        self._probe.invalidate(slot.key)
        assert self._probe.value(slot) == "by key"
        self._probe.missed(tagged)

    # -- lifetimes --------------------------------------------------------------------------------

    def test_an_entry_ends_with_its_lifetime(self) -> None:
        short, long = self._probe.slot("t"), self._probe.slot("t")
        self._probe.write(short, "short", self._probe.missed(short), ttl=SHORT)
        self._probe.write(long, "long", self._probe.missed(long))
        if isinstance(self._probe.clock, ManualClock):
            self._probe.clock.advance(SHORT - 0.001)
            assert self._probe.value(short) == "short"
            self._probe.clock.advance(0.001)
        else:
            deadline = time.monotonic() + _PATIENCE
            while isinstance(self._probe.read(short), Entry):
                assert time.monotonic() < deadline, f"an entry of {SHORT} s is still there"
                time.sleep(SHORT / 5)
        self._probe.missed(short)
        assert self._probe.value(long) == "long"

    def test_a_new_value_has_its_own_lifetime(self) -> None:
        slot = self._probe.slot()
        self._probe.write(slot, "first", ttl=SHORT)
        self._probe.write(slot, "second")
        if isinstance(self._probe.clock, ManualClock):
            self._probe.clock.advance(SHORT)
        else:
            time.sleep(SHORT * 1.5)
        assert self._probe.value(slot) == "second"

    def test_an_entry_says_when_it_expires(self) -> None:
        slot = self._probe.slot()
        before = self._probe.clock()
        self._probe.write(slot, "value", ttl=LONG)
        found = self._probe.read(slot)
        assert before + LONG - 1 <= found.expires <= self._probe.clock() + LONG + 1

    # -- invalidation -----------------------------------------------------------------------------

    def test_a_deleted_entry_is_gone_and_no_other(self) -> None:
        slots = [self._probe.slot() for _ in range(4)]
        for slot in slots:
            self._probe.write(slot, slot.key)
        self._probe.delete(slots[0].key, slots[2].key, "suite:never written")
        self._probe.delete()
        for slot in (slots[0], slots[2]):
            self._probe.missed(slot)
        for slot in (slots[1], slots[3]):
            assert self._probe.value(slot) == slot.key

    def test_a_tag_ends_every_entry_that_carries_it_and_no_other(self) -> None:
        shared = f"suite:shared{next(fresh)}"
        carrying = [
            Slot(slot.key, (*slot.tags, shared)) for slot in (self._probe.slot("a"), self._probe.slot("b"))
        ]
        other = self._probe.slot("a")
        for slot in (*carrying, other):
            assert self._probe.write(slot, slot.key, self._probe.missed(slot))
        self._probe.invalidate(shared, "suite:carried by none")
        self._probe.invalidate()
        for slot in carrying:
            self._probe.missed(slot)
        assert self._probe.value(other) == other.key

    def test_each_tag_of_an_entry_ends_it(self) -> None:
        for position in range(3):
            slot = self._probe.slot("a", "b")
            self._probe.write(slot, "value")
            self._probe.invalidate(slot.tags[position])
            self._probe.missed(slot)

    def test_an_entry_is_judged_by_the_tags_it_was_written_with(self) -> None:
        slot = self._probe.slot("t")
        untagged = Slot(slot.key, slot.tags[:1])
        self._probe.write(slot, "value")
        assert self._probe.value(untagged) == "value", "an entry may be read without naming its tags"
        self._probe.invalidate(slot.tags[1])
        self._probe.missed(untagged)

    def test_after_an_invalidation_new_values_live(self) -> None:
        slot = self._probe.slot("t")
        for round_ in range(3):
            assert self._probe.write(slot, round_, self._probe.missed(slot))
            assert self._probe.value(slot) == round_
            self._probe.invalidate(slot.tags[1])
            assert self._probe.write(slot, -round_, self._probe.missed(slot))
            assert self._probe.value(slot) == -round_
            self._probe.delete(slot.key)

    # -- snapshots --------------------------------------------------------------------------------

    def test_a_load_that_began_before_an_invalidation_is_not_stored(self) -> None:
        for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
            for had_entry in (False, True):
                slot = self._probe.slot("a", "b")
                snapshot = self._probe.missed(slot)
                if had_entry:
                    assert self._probe.write(slot, "first", snapshot)
                self._probe.outdating(slot)[i]()
                assert not self._probe.write(slot, "stale", snapshot), f"way {i} of outdating a load did not"
                found = self._probe.read(slot)
                assert not isinstance(found, Entry) or found.value != "stale"

    def test_an_outdated_snapshot_stays_outdated(self) -> None:
        for outdate_again in (False, True):
            for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
                slot = self._probe.slot("a", "b")
                snapshot = self._probe.missed(slot)
                self._probe.outdating(slot)[i]()
                if outdate_again:
                    self._probe.outdating(slot)[i]()
                self._probe.write(slot, "fresh", self._probe.begin(slot))
                self._probe.delete(slot.key)
                assert not self._probe.write(slot, "stale", snapshot), "a token must never come back (ABA)"
                self._probe.missed(slot)

    def test_what_is_invalidated_elsewhere_does_not_matter(self) -> None:
        slot, other = self._probe.slot("a"), self._probe.slot("a")
        snapshot = self._probe.missed(slot)
        for outdate in self._probe.outdating(other):
            outdate()
        assert self._probe.write(slot, "value", snapshot)
        assert self._probe.value(slot) == "value"

    def test_snapshots_are_equal_until_something_is_invalidated(self) -> None:
        for i in range(len(self._probe.outdating(self._probe.slot("a", "b")))):
            slot = self._probe.slot("a", "b")
            first, second = self._probe.missed(slot), self._probe.missed(slot)
            assert first == second
            assert hash(first) == hash(second)
            self._probe.outdating(slot)[i]()
            assert self._probe.begin(slot) != first
            self._probe.delete(slot.key)
            assert self._probe.missed(slot) not in {first, second}

    def test_a_miss_after_begin_belongs_to_that_load(self) -> None:
        slot = self._probe.slot("a")
        assert self._probe.begin(slot) == self._probe.missed(slot)

    def test_two_loads_of_one_snapshot_may_both_be_stored(self) -> None:
        slot = self._probe.slot("a")
        snapshot = self._probe.missed(slot)
        assert self._probe.write(slot, "first", snapshot)
        assert self._probe.write(slot, "second", snapshot)
        assert self._probe.value(slot) == "second"

    def test_begin_leaves_the_entry_readable(self) -> None:
        slot = self._probe.slot("a")
        self._probe.write(slot, "old")
        snapshot = self._probe.begin(slot)
        assert self._probe.value(slot) == "old"
        assert self._probe.write(slot, "new", snapshot)
        assert self._probe.value(slot) == "new"

    # -- concurrency ------------------------------------------------------------------------------

    def test_concurrent_writers_of_many_keys_lose_nothing(self) -> None:
        slots = [self._probe.slot("a") for _ in range(40)]

        async def write(mine: Sequence[Slot]) -> None:
            for slot in mine:
                now = self._probe.clock()
                entry = Entry(slot.key, expires=now + LONG)
                await called(self._probe.store.write, slot, entry, None, now)

        self._probe.concurrently([partial(write, slots[i::4]) for i in range(4)])
        assert [self._probe.value(slot) for slot in slots] == [slot.key for slot in slots]

    def test_no_stale_value_in_a_race_of_loads_and_invalidations(self) -> None:
        slot = self._probe.slot("a", "b")
        source = committed = 0
        stale: list[tuple[int, int]] = []
        running = True

        async def update() -> None:
            nonlocal source, committed, running
            try:
                for i in range(_UPDATES):
                    source += 1
                    if i % 3:
                        await called(self._probe.store.invalidate, [slot.tags[i % 3]])
                    else:
                        await called(self._probe.store.delete, [slot.key])
                    committed = source
                    await asyncio.sleep(0.0005)
            finally:
                running = False

        async def read() -> None:
            while running:
                oldest = committed
                found = await called(self._probe.store.read, slot, self._probe.clock())
                if isinstance(found, Entry):
                    if found.value < oldest:
                        stale.append((found.value, oldest))
                    await asyncio.sleep(0)
                    continue
                value = source
                await asyncio.sleep(0.0002)
                now = self._probe.clock()
                entry = Entry(value, expires=now + LONG)
                await called(self._probe.store.write, slot, entry, found, now)

        self._probe.concurrently([update, *[read] * _READERS])
        assert not stale, f"(served, committed before): {stale[:5]}"

    # -- the model --------------------------------------------------------------------------------

    def test_it_behaves_like_the_model(self) -> None:
        machine = cast("type[RuleBasedStateMachine]", partial(CacheStoreMachine, self._probe))
        run_state_machine_as_test(
            machine, settings=settings(stateful_step_count=25, deadline=None, database=None)
        )
