"""Entries and batches with more tags than one statement could name."""

from __future__ import annotations

import pytest

from scalekit.cache import Entry
from scalekit.testing._cache_probe import place
from tests.cache.sqlalchemy.conftest import NOW

DAY = 86_400.0


def tagged(number, *, key="shop:k"):
    return place(key, "shop:", *(f"shop:t{i}" for i in range(number)))


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 493, 494, 1_000, 10_000])
def test_an_entry_with_many_tags(world, number):
    slot = tagged(number)
    before = world.missed(slot)
    assert len(before) == number + 2
    assert world.put("value", slot=slot, snapshot=before)
    assert world.value(slot) == "value"
    assert world.value(place("shop:k", "shop:")) == "value", "whatever the slot names"
    assert world.call("begin", slot, NOW, False) == before
    for tag in {slot.tags[1], slot.tags[number // 2 + 1], slot.tags[-1]}:
        world.call("invalidate", [tag])
        after = world.missed(slot)
        assert not world.put("outdated", slot=slot, snapshot=before)
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
        assert world.put("anew", slot=slot, snapshot=after)
        assert world.value(slot) == "anew"
        before = after
    world.call("invalidate", slot.tags[1:])
    world.missed(slot)
    assert world.put("put", slot=slot)
    assert world.value(slot) == "put"


@pytest.mark.slow
def test_many_tags_are_kept_as_long_as_the_entry(world):
    slot, other = tagged(5_000), tagged(5_000, key="shop:other")
    assert world.put("long", slot=slot, snapshot=world.missed(slot), ttl=30 * DAY)
    assert world.put("long", slot=other, ttl=30 * DAY)
    world.clock.advance(29 * DAY)
    world.call("purge")
    assert world.value(slot) == world.value(other) == "long"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "tags", "updates"), [(1_000, 3, 5), (250, 30, 2)])
def test_a_batch_with_many_tags(world, number, tags, updates):
    slots = [place(f"shop:{i}", "shop:", *(f"shop:{i}.{j}" for j in range(tags))) for i in range(number)]
    seen = world.call("read_many", slots, NOW)
    writes = [(slot, Entry(slot.key, expires=NOW + 60), one) for slot, one in zip(slots, seen, strict=True)]
    world.sent.clear()
    assert world.call("write_many", writes, NOW) == [True] * number
    assert sum(statement.startswith("UPDATE") for statement in world.sent) == updates, "200 at a time"
    found = world.call("read_many", slots, NOW)
    assert [entry.value for entry in found] == [slot.key for slot in slots]
    world.call("invalidate", ["shop:7.1", "shop:249.2"])
    found = world.call("read_many", slots, NOW)
    assert [at for at, entry in enumerate(found) if not isinstance(entry, Entry)] == [7, 249]
    stored = world.call("write_many", writes, NOW)
    assert [at for at, one in enumerate(stored) if not one] == [7, 249]


@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
def test_tags_are_found_by_their_names(world):
    """However large the table: the tokens of a write's tags are looked up, and no other row."""
    slot = tagged(3)
    world.missed(slot)
    if world.kind == "sqlite":
        sql = world.store._operations.sql.unchanged(4)
        with world.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (b"",) * 10).all()
        assert any("SEARCH kept USING INDEX" in row[3] for row in plan), plan
        assert not any("SCAN kept" in row[3] for row in plan), plan
        return
    for _ in range(20):
        world.put("more", slot=tagged(1_000))
    rows = "SELECT convert_to('t:' || i, 'UTF8'), 'token', 0 FROM generate_series(1, 50000) AS i"
    world.sql(f"INSERT INTO TABLE_ (name, token, kept) {rows} ON CONFLICT DO NOTHING")
    world.sql("ANALYZE TABLE_")
    sql = world.store._operations.sql.unchanged(4)
    with world.engine.connect() as connection:
        values = (b"x", b"y") * 4 + (None, 5)
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
    assert "Seq Scan" not in plan, plan
