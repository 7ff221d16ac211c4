"""What a Redis store does, on one server and on a cluster: subclass it with a fixture `calls`."""

from __future__ import annotations

import math
from typing import Any

import pytest

from scalekit.cache import Entry, MsgspecSerializer
from scalekit.cache._frame import entry_name, load_name, tag_name
from scalekit.errors import SerialisationError
from scalekit.testing._cache_probe import place
from tests.cache.redis_calls import NOW, SLOT

HOUR = 3_600_000
AB = place("shop:ab", "shop:", "shop:a", "shop:b")


class StoreTests:
    # -- lifetimes --------------------------------------------------------------------------------

    def test_entries_and_tags_live_by_the_servers_clock(self, calls):
        names = [load_name(SLOT.key), *map(tag_name, SLOT.tags)]
        for ttl in (0.5, 60.0, 86_400.0 * 30):
            for begun in (False, True):
                assert calls.put("value", ttl=ttl, snapshot=calls.begin(SLOT, NOW, True) if begun else None)
                assert 0 < calls.client.pttl(entry_name(SLOT.key)) <= ttl * 1_000
                for name in names:
                    assert calls.client.pttl(name) >= 2 * ttl * 1_000 + HOUR / 2 - 1_000

    def test_tags_are_renewed_by_writes_when_half_of_their_time_is_gone(self, calls):
        calls.put("long", ttl=7_200.0)
        before = calls.client.pttl(tag_name("shop:t"))
        calls.put("short", slot=place("shop:other", "shop:t"), ttl=1.0)
        assert before - 5_000 < calls.client.pttl(tag_name("shop:t")) <= before, "enough is left alone"
        for snapshot in (None, calls.begin(SLOT, NOW, False)):
            for name in map(tag_name, SLOT.tags):
                calls.client.pexpire(name, 10_000)
            assert calls.put("long", ttl=7_200.0, snapshot=snapshot and calls.begin(SLOT, NOW, False))
            for name in map(tag_name, SLOT.tags):
                assert calls.client.pttl(name) > 4 * 7_200_000

    def test_tokens_that_a_miss_made_do_not_stay_for_ever(self, calls):
        calls.missed()
        for name in (load_name(SLOT.key), *map(tag_name, SLOT.tags)):
            assert HOUR - 10_000 < calls.client.pttl(name) <= HOUR

    def test_a_life_without_end_is_a_century(self, calls):
        assert calls.put("value", ttl=math.inf)
        assert calls.client.pttl(entry_name(SLOT.key)) > 99 * 365 * 24 * HOUR
        assert calls.read(SLOT, NOW).expires == math.inf

    @pytest.mark.parametrize("skew", [-86_400.0, 0.0, 86_400.0])
    def test_an_entry_says_what_is_left_within_its_life_whatever_the_clocks_say(self, calls, skew):
        store = type(calls.store)
        writer = store(calls.link, wall_clock=lambda: 1e6)
        reader = store(calls.link, wall_clock=lambda: 1e6 + 15 + skew)
        entry = Entry(1, expires=NOW + 60, fresh_until=NOW + 20, load_seconds=0.5)
        assert calls.driver(writer.write, SLOT, entry, None, NOW)
        found = calls.driver(reader.read, SLOT, 5_000.0)
        gone = {-86_400.0: 0, 0.0: 15, 86_400.0: 60}[skew]
        assert found.expires == pytest.approx(5_060.0 - gone)
        assert found.fresh_until == pytest.approx(5_020.0 - gone)
        assert found.load_seconds == 0.5

    # -- losses and damage ------------------------------------------------------------------------

    def test_an_evicted_tag_costs_a_load_and_never_brings_anything_back(self, calls):
        calls.put("old")
        snapshot = calls.begin(SLOT, NOW, True)
        calls.client.delete(tag_name("shop:t"))
        calls.missed()
        assert not calls.put("stale", snapshot=snapshot)
        calls.missed()
        assert calls.put("new", snapshot=calls.missed())
        assert calls.value() == "new"

    def test_an_evicted_token_of_loads_costs_the_load_alone(self, calls):
        calls.put("value")
        snapshot = calls.begin(SLOT, NOW, True)
        calls.client.delete(load_name(SLOT.key))
        assert not calls.put("lost", snapshot=snapshot)
        assert calls.value() == "value"

    def test_a_token_evicted_while_it_is_made_is_never_found_by_a_write(self, calls, monkeypatch):
        values = calls.store._layout.values
        monkeypatch.setattr(calls.store._layout, "values", lambda r, n: [None] * len(values(r, n)))
        snapshot = calls.missed()
        assert None not in snapshot
        assert calls.begin(SLOT, NOW, True) != snapshot
        monkeypatch.undo()
        assert not calls.put("value", snapshot=snapshot)

    def test_a_damaged_entry_is_a_miss_and_is_replaced(self, calls):
        calls.put({"a": [1, 2]})
        name = entry_name(SLOT.key)
        whole = calls.client.get(name)
        for at in range(len(whole)):
            calls.client.set(name, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            calls.missed()
        for damaged in (b"", whole[:-1], whole * 2, b"\x00" * 100, b"SKC\x02" + whole):
            calls.client.set(name, damaged)
            calls.missed()
        assert calls.put("new", snapshot=calls.missed())
        assert calls.value() == "new"

    def test_what_the_serializer_cannot_read_is_a_miss(self, calls):
        class Stubborn(MsgspecSerializer):
            def loads(self, data, /):
                raise ValueError("not mine")

        stubborn = SLOT._replace(serializer=Stubborn(Any))
        calls.put("value", slot=stubborn)
        calls.missed(stubborn)
        calls.missed(stubborn._replace(tags=("shop:",)))
        assert calls.value() == "value"

    def test_another_return_type_is_a_miss(self, calls):
        as_int, as_text = (SLOT._replace(serializer=MsgspecSerializer(kind)) for kind in (int, str))
        calls.put(1, slot=as_int)
        assert calls.value(as_int) == 1
        calls.put("1", slot=as_text, snapshot=calls.missed(as_text))
        assert calls.value(as_text) == "1"
        calls.missed(as_int)

    def test_a_value_that_cannot_be_stored_leaves_everything_alone(self, calls):
        calls.put("old")
        snapshot = calls.begin(SLOT, NOW, True)
        with pytest.raises(SerialisationError):
            calls.put((1, 2))
        assert calls.value() == "old"
        assert calls.put("new", snapshot=snapshot)
        assert calls.put(object(), ttl=0.0), "what is not kept need not be written"

    def test_a_value_of_a_megabyte(self, calls):
        calls.put(b"\x00\xff\r\n" * 250_000)
        assert calls.value() == b"\x00\xff\r\n" * 250_000

    # -- tags -------------------------------------------------------------------------------------

    def test_an_entry_is_found_whatever_tags_its_slot_names(self, calls):
        calls.put("value", slot=AB)
        orders = [AB.tags[::-1], AB.tags[:1], AB.tags[2:], (), (*AB.tags, "shop:c"), ("shop:c",)]
        for tags in orders:
            assert calls.value(AB._replace(tags=tags)) == "value"
        calls.invalidate(["shop:a"])
        for tags in orders:
            calls.missed(AB._replace(tags=tags))

    def test_a_tag_named_twice_is_a_tag(self, calls):
        twice = SLOT._replace(tags=("shop:", "shop:t", "shop:t"))
        assert calls.put("value", slot=twice, snapshot=calls.missed(twice))
        assert calls.value(twice) == calls.value() == "value"
        calls.invalidate(["shop:t"])
        calls.missed(twice)

    def test_no_tags_at_all(self, calls):
        bare = place("shop:bare")
        assert calls.put("value", slot=bare, snapshot=calls.missed(bare))
        assert calls.value(bare) == "value"
        calls.delete(["shop:bare"])
        calls.missed(bare)

    # -- batches ----------------------------------------------------------------------------------

    def test_a_batch_gives_for_each_slot_what_a_read_gives(self, calls):
        fresh, stale, untold, dead, damaged, absent = (
            place(f"shop:{name}", "shop:", f"shop:t-{name}") for name in ("f", "s", "u", "d", "x", "a")
        )
        calls.put("fresh", slot=fresh)
        calls.write(stale, Entry("stale", expires=NOW + 60, fresh_until=NOW), None, NOW)
        calls.put("untold", slot=untold)
        calls.put("dead", slot=dead)
        calls.invalidate(["shop:t-d"])
        calls.put("damaged", slot=damaged)
        calls.client.set(entry_name(damaged.key), b"\x00" * 100)
        slots = [fresh, stale, untold._replace(tags=("shop:",)), dead, damaged, absent, fresh]
        found = calls.read_many(slots, NOW)
        assert [f.value for f in found if isinstance(f, Entry)] == ["fresh", "stale", "untold", "fresh"]
        assert found[3:6] == [calls.missed(slot) for slot in slots[3:6]]
        assert found[1].fresh_until <= NOW < found[1].expires
        assert calls.read_many([], NOW) == calls.write_many([], NOW) == []

    def test_what_a_batch_writes_is_judged_one_by_one(self, calls):
        slots = [place(f"shop:{i}", "shop:", f"shop:t{i}") for i in range(4)]
        snapshots = calls.read_many(slots, NOW)
        calls.invalidate(["shop:t1"])
        calls.delete(["shop:2"])
        entries = [Entry(slot.key, expires=NOW + 60) for slot in slots]
        entries[3].expires = NOW
        writes = list(zip(slots, entries, snapshots, strict=True))
        assert calls.write_many(writes, NOW) == [True, False, False, True]
        assert [isinstance(found, Entry) for found in calls.read_many(slots, NOW)] == [True] + [False] * 3
        with pytest.raises(SerialisationError):
            calls.write_many([*writes, (slots[1], Entry((1,), expires=NOW + 9), snapshots[1])], NOW)
