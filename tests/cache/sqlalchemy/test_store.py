"""The SQL stores beyond the contract: statements, lifetimes, clean-up, tables, batches."""

from __future__ import annotations

import pytest

from scalekit.cache import Entry, MsgspecSerializer, Slot
from scalekit.cache._entry import NamedEntry
from scalekit.cache.protocols import AsyncBatchCacheStore, BatchCacheStore
from scalekit.cache.sqlalchemy import _operations
from scalekit.cache.sqlalchemy._record import key_name, tag_name
from scalekit.errors import SerialisationError
from scalekit.testing._cache_probe import place
from tests.cache.sqlalchemy.conftest import NOW, SLOT

HOUR = 3_600_000


@pytest.fixture
def sweep_always(monkeypatch, no_sweep):
    monkeypatch.setattr(_operations, "chance", lambda: 0.0)


# -- statements ---------------------------------------------------------------------------------------


def test_statements_of_each_call(world):
    slot = place("shop:new", "shop:", "shop:a", "shop:b")
    entry = Entry(1, expires=NOW + 60)
    world.call("create_all")
    assert world.took("read", slot, NOW) == ["SELECT", "INSERT"]
    assert world.took("read", slot, NOW) == ["SELECT"]
    snapshot = world.missed(slot)
    assert world.took("write", slot, entry, snapshot, NOW) == ["UPDATE"]
    assert world.took("read", slot, NOW) == ["SELECT"], "a hit is one statement"
    assert world.took("read", slot._replace(tags=slot.tags[:1]), NOW) == ["SELECT", "SELECT"]
    assert world.took("write", slot, entry, None, NOW) == ["SELECT", "INSERT"]
    assert world.took("begin", slot, NOW, False) == ["SELECT"]
    assert world.took("begin", slot, NOW, True) == ["INSERT", "SELECT"]
    assert world.took("delete", ["shop:new", "shop:other"]) == ["UPDATE"]
    assert world.took("invalidate", ["shop:a", "shop:b"]) == ["UPDATE"]
    assert world.took("delete", []) == world.took("invalidate", []) == []
    assert world.took("read_many", [], NOW) == world.took("write_many", [], NOW) == []
    assert world.took("begin_many", [], NOW, True) == []


def test_an_invalidation_is_one_statement_however_many_entries(world):
    for i in range(20):
        world.put(i, slot=place(f"shop:{i}", "shop:", "shop:t"))
    assert world.took("invalidate", ["shop:t"]) == ["UPDATE"]
    for i in range(20):
        world.missed(place(f"shop:{i}", "shop:"))


def test_many_names_are_invalidated_by_few_statements(world, monkeypatch):
    monkeypatch.setattr("scalekit.cache.sqlalchemy._statements.NAMES", 16)
    slots = [place(f"shop:{i}", f"shop:t{i}") for i in range(40)]
    for slot in slots:
        world.put(1, slot=slot)
    assert world.took("invalidate", [slot.tags[0] for slot in slots]) == ["UPDATE"] * 3
    assert world.took("delete", [slot.key for slot in slots]) == ["UPDATE"] * 3
    for slot in slots:
        world.missed(slot)


# -- lifetimes ----------------------------------------------------------------------------------------


def test_an_entry_ends_at_its_millisecond(world):
    world.put("value", ttl=1.5, fresh_until=NOW + 0.5, load_seconds=0.25)
    world.clock.advance(0.4)
    found = world.read()
    assert found.expires == pytest.approx(NOW + 1.1)
    assert found.fresh_until == pytest.approx(NOW + 0.1)
    assert found.load_seconds == 0.25
    world.clock.advance(1.099)
    assert world.value() == "value"
    world.clock.advance(0.001)
    world.missed()


def test_an_entry_tells_whether_the_slot_names_all_its_tags(world):
    world.put("value")
    assert type(world.read()) is NamedEntry
    assert type(world.read(SLOT._replace(tags=SLOT.tags[:1]))) is Entry
    assert type(world.read(SLOT._replace(tags=(*SLOT.tags, "shop:more")))) is Entry
    assert [type(one) for one in world.call("read_many", [SLOT], NOW)] == [NamedEntry]


def test_a_stale_entry_brings_the_snapshot_for_its_reload(world):
    world.put("stale", fresh_until=NOW)
    snapshot = world.read().snapshot
    assert snapshot == world.call("begin", SLOT, NOW, False)
    assert world.put("new", snapshot=snapshot)
    assert world.read().snapshot is None, "a fresh entry needs none"
    world.put("stale", fresh_until=NOW)
    assert world.read(SLOT._replace(tags=("shop:", "shop:elsewhere"))).snapshot is None, "one is unknown"


def test_a_clock_that_is_set_back_does_not_lengthen_a_life(world):
    world.put("value", ttl=10)
    world.clock.advance(-100)
    assert world.read().expires <= NOW + 10


def test_an_entry_may_outlive_what_tokens_are_kept_for_at_first(world):
    day = 86_400.0
    snapshot = world.missed()
    entry = Entry("long", expires=NOW + 30 * day)
    assert world.took("write", SLOT, entry, snapshot, NOW) == ["UPDATE"] * 3, "the tags are renewed once"
    assert world.took("write", SLOT, entry, snapshot, NOW) == ["UPDATE"]
    assert world.took("write", SLOT, entry, None, NOW) == ["SELECT", "INSERT"]
    world.clock.advance(29 * day)
    world.call("purge")
    assert world.value() == "long"
    other = place("shop:other", "shop:new")
    world.put("long", slot=other, ttl=30 * day)
    world.clock.advance(29 * day)
    world.call("purge")
    assert world.value(other) == "long"


def test_tags_that_are_not_renewed_are_not_lost_silently(world):
    """A write whose tags' tokens are lost is refused: they count as changed."""
    snapshot = world.missed()
    world.sql("DELETE FROM TABLE_ WHERE name = :name", name=tag_name("shop:t"))
    assert not world.put("value", snapshot=snapshot)
    assert not world.put("value", snapshot=snapshot, ttl=10**6)
    world.missed()


@pytest.mark.parametrize("name", [tag_name("shop:t"), tag_name("shop:"), key_name("shop:k")])
def test_a_lost_row_costs_a_load_and_nothing_else(world, name):
    world.put("value")
    before = world.call("begin", SLOT, NOW, False)
    world.sql("DELETE FROM TABLE_ WHERE name = :name", name=name)
    snapshot = world.missed()
    assert snapshot != before
    assert not world.put("stale", snapshot=before)
    assert world.put("new", snapshot=snapshot)
    assert world.value() == "new"


def test_time_is_the_databases_own_if_there_is_a_server(world):
    store = world.store = world.new_store(wall_clock=None)
    world.put("value")
    now = world.sql(
        "SELECT EXTRACT(EPOCH FROM now())"
        if "psycopg" in world.kind or world.kind == "asyncpg"
        else "SELECT strftime('%s', 'now')"
    )[0][0]
    (expires,) = world.sql("SELECT expires FROM TABLE_ WHERE data IS NOT NULL")[0]
    assert abs(expires / 1_000 - float(now) - 60) < 20
    assert world.value() == "value"
    world.sql("UPDATE TABLE_ SET expires = expires - 61000 WHERE data IS NOT NULL")
    if "sqlite" in world.kind:
        assert world.value() == "value", "in the process, an entry says itself when it ends"
    else:
        world.missed()
    assert store is world.store


# -- formats ------------------------------------------------------------------------------------------


def test_an_entry_of_another_type_is_a_miss(world):
    world.put(7)
    other = Slot(SLOT.key, SLOT.tags, MsgspecSerializer(list[int]))
    world.missed(other)
    assert world.value() == 7
    assert world.put([1, 2], slot=other)
    assert world.value(other) == [1, 2]
    world.missed()


@pytest.mark.parametrize("damage", [b"", b"SKS", b"x" * 60])
def test_a_damaged_entry_is_a_miss(world, damage):
    world.put("value")
    world.sql("UPDATE TABLE_ SET data = :data WHERE data IS NOT NULL", data=damage)
    world.missed()


def test_a_value_that_cannot_be_read_is_a_miss(world):
    world.put("value")
    [(data,)] = world.sql("SELECT data FROM TABLE_ WHERE data IS NOT NULL")
    world.sql("UPDATE TABLE_ SET data = :data WHERE data IS NOT NULL", data=bytes(data)[:-1])
    world.missed()


def test_a_value_that_would_not_come_back_is_refused(world):
    with pytest.raises(SerialisationError):
        world.put(object())
    assert world.put("value") is True


def test_names_and_values_of_a_megabyte(world):
    slot = place("k" * 1_000_000, "t" * 1_000_000)
    assert world.put("v" * 1_000_000, slot=slot, snapshot=world.missed(slot))
    assert world.value(slot) == "v" * 1_000_000
    world.missed(place("k" * 999_999 + "l", "t" * 1_000_000))
    world.call("invalidate", ["t" * 1_000_000])
    world.missed(slot)


def test_a_slot_may_name_a_tag_twice(world):
    slot = place("shop:k", "shop:a", "shop:b", "shop:a")
    assert world.put("value", slot=slot, snapshot=world.missed(slot))
    assert world.value(slot) == "value"
    world.call("invalidate", ["shop:a", "shop:a"])
    world.missed(slot)


def test_a_slot_without_tags(world):
    slot = place("shop:k")
    assert world.put("value", slot=slot, snapshot=world.missed(slot))
    assert world.value(slot) == "value"
    assert world.put("second", slot=slot, ttl=10**6)
    snapshot = world.call("begin", slot, NOW, False)
    world.call("delete", ["shop:k"])
    assert not world.put("stale", slot=slot, snapshot=snapshot)
    world.missed(slot)


# -- clean-up -----------------------------------------------------------------------------------------


def test_purge_takes_away_what_is_over_and_nothing_else(world, monkeypatch):
    monkeypatch.setattr(_operations, "_PURGED", 4)
    for i in range(10):
        world.put(i, slot=place(f"shop:short{i}", f"shop:s{i}"), ttl=10)
        world.put(i, slot=place(f"shop:long{i}", f"shop:l{i}"), ttl=8 * 3_600)
    assert world.rows() == 40
    assert world.call("purge") == 0
    world.clock.advance(11)
    assert world.call("purge") == 10, "expired values go, their tokens stay for loads that may be running"
    assert world.rows() == 40
    world.clock.advance(7 * 3_600)
    assert world.call("purge") == 20
    assert world.rows() == 20
    assert [world.value(place(f"shop:long{i}")) for i in range(10)] == list(range(10))
    world.clock.advance(30 * 3_600)
    world.call("purge")
    assert world.rows() == 0


def test_the_token_of_a_load_is_kept_for_an_hour(world):
    slots = [SLOT, place("shop:other", "shop:")]
    [snapshot, _] = world.call("read_many", slots, NOW)
    world.clock.advance(3_599)
    assert world.call("purge") == 0
    assert world.put("value", snapshot=snapshot, ttl=1)
    world.clock.advance(1)
    assert world.call("purge") == 2, "that of the load which did not end, and the value"
    assert world.rows() == 3
    world.clock.advance(3_600)
    assert world.call("purge") == 1
    assert world.sql("SELECT name FROM TABLE_ ORDER BY name") == [(tag_name("shop:"),), (tag_name("shop:t"),)]


def test_a_load_that_began_on_an_expired_entry_is_stored_after_a_purge(world):
    world.put("old", ttl=10)
    world.clock.advance(11)
    snapshot = world.missed()
    world.call("purge")
    assert world.put("new", snapshot=snapshot)
    assert world.value() == "new"


def test_writes_keep_the_table_bounded(world, sweep_always, monkeypatch):
    monkeypatch.setattr(_operations, "_SWEPT", 8)
    for i in range(60):
        world.put(i, slot=place(f"shop:{i}", "shop:"), ttl=10)
        world.clock.advance(600)
    assert world.rows() < 25, "an hour's loads are 6 rows, and a sweep takes a few writes to come round"


@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_the_sweep_leaves_what_was_written_meanwhile(world):
    """Between looking and removing another process may have written: both statements look again."""
    world.put("old", ttl=10)
    world.clock.advance(11)
    operations, late = world.store._operations, world.new_store()
    original = operations.sql.empty

    def overtaken(names):
        late.write(SLOT, Entry("new", expires=NOW + 60), None, NOW)
        return original(names)

    operations.sql.empty = overtaken
    assert world.call("purge") == 0
    assert world.value() == "new"


def test_a_sweep_that_fails_does_not_fail_the_write(world, sweep_always, monkeypatch):
    world.call("create_all")
    monkeypatch.setattr(world.store._operations.sql, "look", lambda _: "SELECT nonsense FROM nowhere")
    assert world.put("value") is True
    assert world.value() == "value"


# -- batches ------------------------------------------------------------------------------------------


def slots_of(number, *tags):
    return [place(f"shop:{i}", "shop:", f"shop:t{i}", *tags) for i in range(number)]


def test_batches_are_offered(world):
    assert isinstance(world.store, AsyncBatchCacheStore if world.is_async else BatchCacheStore)


def test_many_begin_at_once(world):
    slots = slots_of(100)
    world.call("create_all")
    assert world.took("begin_many", slots, NOW, True) == ["INSERT", "SELECT", "INSERT"]
    assert world.took("begin_many", slots, NOW, True) == ["INSERT", "SELECT"]
    assert world.took("begin_many", slots, NOW, False) == ["SELECT"]
    begun = world.call("begin_many", [*slots, slots[0]], NOW, False)
    assert begun == [world.call("begin", slot, NOW, False) for slot in [*slots, slots[0]]]
    newer = world.call("begin_many", [*slots, slots[0]], NOW, True)
    assert newer[0] == newer[-1]
    assert all(new != old for new, old in zip(newer, begun, strict=True))
    entries = [Entry(i, expires=NOW + 60) for i in range(100)]
    assert world.call("write_many", list(zip(slots, entries, begun[:-1], strict=True)), NOW) == [False] * 100
    assert world.call("write_many", list(zip(slots, entries, newer[:-1], strict=True)), NOW) == [True] * 100


def test_many_that_begin_are_few_statements(world, monkeypatch):
    world.call("create_all")
    monkeypatch.setattr("scalekit.cache.sqlalchemy._statements.NAMES", 16)
    slots = [place(f"shop:{i}", f"shop:t{i}") for i in range(20)]
    took = world.took("begin_many", slots, NOW, True)
    assert took == ["INSERT"] * 2 + ["SELECT"] * 2 + ["INSERT"] * 2
    assert world.call("begin_many", slots, NOW, False) == [world.missed(slot) for slot in slots]


def test_many_are_read_and_written_at_once(world):
    slots = slots_of(100)
    world.call("create_all")
    assert world.took("read_many", slots, NOW) == ["SELECT", "INSERT"]
    assert world.took("read_many", slots, NOW) == ["SELECT"]
    found = world.call("read_many", slots, NOW)
    assert found == [world.missed(slot) for slot in slots]
    entries = [Entry(i, expires=NOW + 60) for i in range(100)]
    writes = list(zip(slots, entries, found, strict=True))
    assert world.took("write_many", writes, NOW) == ["UPDATE"]
    assert world.took("read_many", slots, NOW) == ["SELECT"]
    assert [entry.value for entry in world.call("read_many", slots, NOW)] == list(range(100))
    assert [world.value(slot) for slot in slots[:5]] == list(range(5))


def test_each_of_many_is_judged_by_itself(world):
    slots = slots_of(6)
    found = world.call("read_many", slots, NOW)
    world.call("invalidate", ["shop:t1"])
    world.call("delete", ["shop:2"])
    writes = [
        (slot, Entry(slot.key, expires=NOW + 60), seen) for slot, seen in zip(slots, found, strict=True)
    ]
    assert world.call("write_many", writes, NOW) == [True, False, False, True, True, True]
    world.call("invalidate", ["shop:t3"])
    seen = world.call("read_many", slots, NOW)
    assert [getattr(one, "value", None) for one in seen] == ["shop:0", None, None, None, "shop:4", "shop:5"]
    assert [seen[i] for i in (1, 2, 3)] == [world.missed(slots[i]) for i in (1, 2, 3)]
    again = [(slots[i], Entry(i, expires=NOW + 60), seen[i]) for i in (1, 2, 3)]
    assert world.call("write_many", again, NOW) == [True] * 3


def test_many_with_long_lives_and_old_snapshots(world):
    slots = slots_of(3)
    found = world.call("read_many", slots, NOW)
    long = [(slot, Entry(1, expires=NOW + 10**6), seen) for slot, seen in zip(slots, found, strict=True)]
    assert world.call("write_many", long, NOW) == [True] * 3
    world.clock.advance(10**6 - 1)
    world.call("purge")
    assert [world.value(slot) for slot in slots] == [1, 1, 1]
    world.call("invalidate", ["shop:t0"])
    mixed = [long[0], (slots[1], Entry(2, expires=NOW), found[1]), long[2]]
    assert world.call("write_many", mixed, NOW) == [False, True, True]
    world.missed(slots[0])
    world.missed(slots[1])
    assert world.value(slots[2]) == 1


def test_many_may_name_a_key_twice_or_see_a_tag_at_two_times(world):
    slot, other = slots_of(2)
    first = world.missed(slot)
    writes = [(slot, Entry(i, expires=NOW + 60), first) for i in range(2)]
    assert world.call("write_many", writes, NOW) == [True, True]
    assert world.value(slot) == 1
    assert [entry.value for entry in world.call("read_many", [slot, slot], NOW)] == [1, 1]
    world.call("invalidate", ["shop:"])
    later = world.missed(other)
    writes = [(slot, Entry(2, expires=NOW + 60), first), (other, Entry(3, expires=NOW + 60), later)]
    assert world.call("write_many", writes, NOW) == [False, True]


def test_more_than_a_statement_can_take(world, monkeypatch):
    monkeypatch.setattr("scalekit.cache.sqlalchemy._statements.NAMES", 16)
    monkeypatch.setattr("scalekit.cache.sqlalchemy._batches.WRITES", 7)
    slots = slots_of(30)
    found = world.call("read_many", slots, NOW)
    writes = [
        (slot, Entry(slot.key, expires=NOW + 60), seen) for slot, seen in zip(slots, found, strict=True)
    ]
    world.call("delete", ["shop:9"])
    assert world.call("write_many", writes, NOW) == [i != 9 for i in range(30)]
    seen = world.call("read_many", slots, NOW)
    assert [isinstance(one, Entry) for one in seen] == [i != 9 for i in range(30)]


@pytest.mark.slow
def test_the_largest_batches_fit(world):
    slots = [place(f"shop:{i}", f"shop:a{i}", f"shop:b{i}") for i in range(1_500)]
    found = world.call("read_many", slots, NOW)
    writes = [(slot, Entry(i, expires=NOW + 60), found[i]) for i, slot in enumerate(slots)]
    assert all(world.call("write_many", writes, NOW))
    assert [entry.value for entry in world.call("read_many", slots, NOW)] == list(range(1_500))
    world.call("delete", [slot.key for slot in slots])
    assert world.sql("SELECT count(*) FROM TABLE_ WHERE data IS NOT NULL") == [(0,)]
