# ruff: noqa: S101  # a suite of tests asserts
"""The part of `CacheStoreSuite` about entries: what is read, how long, and what ends it."""

from __future__ import annotations

import time

from scalekit.cache import Entry
from scalekit.testing._cache_probe import LONG, SHORT, CacheStoreTests, fresh, place
from scalekit.testing.clock import ManualClock

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


class EntryTests(CacheStoreTests):
    """Tests of single calls, one after the other."""

    # -- entries ----------------------------------------------------------------------------------

    def test_what_is_written_is_read(self) -> None:
        """What is written is read."""
        slot = self._probe.slot("t")
        assert self._probe.write(slot, "value", self._probe.missed(slot))
        assert self._probe.value(slot) == "value"
        assert self._probe.value(slot) == "value"

    def test_every_value_comes_back_equal_and_of_its_type(self) -> None:
        """Every value comes back equal and of its type."""
        for value in self.values:
            slot = self._probe.slot()
            assert self._probe.write(slot, value, self._probe.missed(slot))
            assert self._probe.value(slot) == value
            assert type(self._probe.value(slot)) is type(value)

    def test_an_entry_is_replaced_whole(self) -> None:
        """An entry is replaced whole."""
        slot = self._probe.slot("t")
        other = slot._replace(tags=slot.tags[:1])
        self._probe.write(slot, "first")
        self._probe.write(other, "second")
        self._probe.invalidate(slot.tags[1])
        assert self._probe.value(slot) == "second", "the tag of a replaced value must not end the new one"

    def test_odd_names_are_told_apart(self) -> None:
        """Odd names are told apart."""
        number = next(fresh)
        slots = [place(f"suite:{name}{number}", f"suite:{name}{number}") for name in _ODD_NAMES]
        for i, slot in enumerate(slots):
            assert self._probe.write(slot, i, self._probe.missed(slot))
        assert [self._probe.value(slot) for slot in slots] == list(range(len(slots)))
        for i, slot in enumerate(slots):
            self._probe.invalidate(*slot.tags)
            self._probe.missed(slot)
            assert [self._probe.value(left) for left in slots[i + 1 :]] == list(range(i + 1, len(slots)))

    def test_a_key_and_a_tag_of_one_name_are_two_things(self) -> None:
        """A key and a tag of one name are two things."""
        slot = place(f"suite:same{next(fresh)}", "suite:own")
        tagged = place(f"suite:other{next(fresh)}", slot.key)
        self._probe.write(slot, "by key")
        self._probe.write(tagged, "by tag")
        self._probe.invalidate(slot.key)
        assert self._probe.value(slot) == "by key"
        self._probe.missed(tagged)

    # -- lifetimes --------------------------------------------------------------------------------

    def test_an_entry_ends_with_its_lifetime(self) -> None:
        """An entry ends with its lifetime."""
        short, long = self._probe.slot("t"), self._probe.slot("t")
        self._probe.write(short, "short", self._probe.missed(short), ttl=SHORT)
        self._probe.write(long, "long", self._probe.missed(long))
        if isinstance(self._probe.clock, ManualClock):
            self._probe.clock.advance(SHORT - 0.001)
            assert self._probe.value(short) == "short"
            self._probe.clock.advance(0.001)
        else:
            deadline = time.monotonic() + self.patience
            while isinstance(self._probe.read(short), Entry):
                assert time.monotonic() < deadline, f"an entry of {SHORT} s is still there"
                time.sleep(SHORT / 5)
        self._probe.missed(short)
        assert self._probe.value(long) == "long"

    def test_a_new_value_has_its_own_lifetime(self) -> None:
        """A new value has its own lifetime."""
        slot = self._probe.slot()
        self._probe.write(slot, "first", ttl=SHORT)
        self._probe.write(slot, "second")
        if isinstance(self._probe.clock, ManualClock):
            self._probe.clock.advance(SHORT)
        else:
            time.sleep(SHORT * 1.5)
        assert self._probe.value(slot) == "second"

    def test_an_expired_entry_takes_the_old_one_away(self) -> None:
        """An expired entry takes the old one away."""
        slot = self._probe.slot("t")
        self._probe.write(slot, "old")
        assert self._probe.write(slot, "expired", self._probe.begin(slot), ttl=0.0)
        self._probe.missed(slot)

    def test_an_entry_says_when_it_expires(self) -> None:
        """An entry says when it expires."""
        slot = self._probe.slot()
        before = self._probe.clock()
        self._probe.write(slot, "value", ttl=LONG)
        found = self._probe.read(slot)
        assert before + LONG - 1 <= found.expires <= self._probe.clock() + LONG + 1

    def test_a_stale_entry_is_read_until_it_ends(self) -> None:
        """A stale entry is read until it ends, with its times and what its load took."""
        slot = self._probe.slot("t")
        before = self._probe.clock()
        assert self._probe.write(
            slot, "value", self._probe.missed(slot), ttl=LONG, fresh=LONG / 2, load_seconds=1.5
        )
        found = self._probe.read(slot)
        assert before + LONG / 2 - 1 <= found.fresh_until <= self._probe.clock() + LONG / 2 + 1
        assert abs(found.load_seconds - 1.5) < 0.001  # noqa: PLR2004
        assert self._probe.write(slot, "stale", fresh=0.0)
        found = self._probe.read(slot)
        assert found.value == "stale"
        assert found.fresh_until <= self._probe.clock() < found.expires

    # -- invalidation -----------------------------------------------------------------------------

    def test_a_deleted_entry_is_gone_and_no_other(self) -> None:
        """A deleted entry is gone and no other."""
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
        """A tag ends every entry that carries it and no other."""
        shared = f"suite:shared{next(fresh)}"
        carrying = [
            slot._replace(tags=(*slot.tags, shared))
            for slot in (self._probe.slot("a"), self._probe.slot("b"))
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
        """Each tag of an entry ends it."""
        for position in range(3):
            slot = self._probe.slot("a", "b")
            self._probe.write(slot, "value")
            self._probe.invalidate(slot.tags[position])
            self._probe.missed(slot)

    def test_an_entry_is_judged_by_the_tags_it_was_written_with(self) -> None:
        """An entry is judged by the tags it was written with."""
        slot = self._probe.slot("t")
        untagged = slot._replace(tags=slot.tags[:1])
        self._probe.write(slot, "value")
        assert self._probe.value(untagged) == "value", "an entry may be read without naming its tags"
        self._probe.invalidate(slot.tags[1])
        self._probe.missed(untagged)

    def test_after_an_invalidation_new_values_live(self) -> None:
        """After an invalidation new values live."""
        slot = self._probe.slot("t")
        for round_ in range(3):
            assert self._probe.write(slot, round_, self._probe.missed(slot))
            assert self._probe.value(slot) == round_
            self._probe.invalidate(slot.tags[1])
            assert self._probe.write(slot, -round_, self._probe.missed(slot))
            assert self._probe.value(slot) == -round_
            self._probe.delete(slot.key)
