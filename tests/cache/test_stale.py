"""Stale answers: as long as a policy allows, never across an invalidation, counted and told."""

from __future__ import annotations

import pytest

from scalekit.cache import MemoryCacheStore
from scalekit.errors import ConfigurationError, SerialisationError
from scalekit.testing import Gate
from tests.cache.either import DEADLINE, Source
from tests.servers.lifeline import wait_until

INVALIDATIONS = {
    "tag": lambda face, find: face(face.cache.invalidate_tags, "t"),
    "key": lambda face, find: face(find.invalidate, 7),
    "delete": lambda face, find: face(face.cache.delete, find.key(7)),
    "clear": lambda face, find: face(face.cache.clear),
    "another process": lambda face, find: face.store.invalidate(["cache:t"]),
    "another process, by key": lambda face, find: face.store.delete([f"cache:{find.key(7)}"]),
}


@pytest.fixture(params=INVALIDATIONS)
def invalidate(request):
    return INVALIDATIONS[request.param]


@pytest.fixture
def face(either):
    store = MemoryCacheStore()
    face = either(store)
    face.store = store
    return face


def stale(face, source, **options):
    """A function whose value of 7 is stale."""
    find = face.cached(source, ttl=10, tags=["t"], **options)
    face(find, 7)
    face.clock.advance(11)
    return find


# -- while revalidating ----------------------------------------------------------------------------


def test_a_stale_value_is_served_while_its_one_reload_runs(face):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60)
    source.gate = gate = Gate()
    assert [face(find, 7) for _ in range(5)] == ["7 v1"] * 5
    gate.wait_for_callers(1)
    assert [face(find, 7) for _ in range(5)] == ["7 v1"] * 5
    gate.release()
    face.settle()
    assert face(find, 7) == "7 v2"
    assert source.runs == 2
    stats = face.stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.loads) == (11, 1, 10, 2)


def test_a_call_that_must_wait_joins_the_reload_that_runs(face):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60)
    source.gate = gate = Gate()
    face(find, 7)
    gate.wait_for_callers(1)
    face.clock.advance(60)  # beyond the window
    waiting = face.start(find, 7)
    wait_until(lambda: face.stats().misses == 2, "it waits")
    gate.release()
    assert waiting.result(DEADLINE) == "7 v2"
    assert source.runs == 2


def test_a_call_after_an_invalidation_does_not_join_the_reload_from_before(face, invalidate):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60, stale_if_error=90)
    source.gate = gate = Gate()
    assert face(find, 7) == "7 v1"
    gate.wait_for_callers(1)
    invalidate(face, find)
    after = face.start(find, 7)
    gate.wait_for_callers(2)
    gate.release()
    assert after.result(DEADLINE) == "7 v3"
    face.settle()
    assert face(find, 7) == "7 v3", "and the reload's value is not stored, whichever ends last"


def test_a_reload_that_was_overtaken_by_an_invalidation_is_not_stored(face, invalidate):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60)
    source.gate = gate = Gate()
    face(find, 7)
    gate.wait_for_callers(1)
    invalidate(face, find)
    gate.release()
    face.settle()
    assert face(find, 7) == "7 v3"


def test_a_value_that_is_set_while_a_reload_runs_stays(face):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60)
    source.gate = gate = Gate()
    face(find, 7)
    gate.wait_for_callers(1)
    face(face.cache.set, find.key(7), "set", ttl=10)
    gate.release()
    face.settle()
    assert face(find, 7) == "set"


def test_a_refresh_wins_over_the_reload_that_runs(face):
    source = Source()
    find = stale(face, source, stale_while_revalidate=60)
    source.gate = gate = Gate()
    face(find, 7)
    gate.wait_for_callers(1)
    source.gate = None
    assert face(find.refresh, 7) == "7 v3"
    gate.release()
    face.settle()
    assert face(find, 7) == "7 v3"


def test_get_has_nothing_stale_but_get_or_set_has(face):
    stale(face, Source(), stale_while_revalidate=60)
    face(face.cache.set, "k", "old", ttl=10, stale_while_revalidate=60)
    face.clock.advance(11)
    assert face(face.cache.get, "k", "default") == "default"
    load = face.plain(lambda: "new")
    assert face(face.cache.get_or_set, "k", load, ttl=10, stale_while_revalidate=60) == "old"
    face.settle()
    assert face(face.cache.get, "k") == "new"


def test_what_policy_wrote_an_entry_and_what_policy_reads_it(face):
    """Whoever reads says how stale it may be; whoever writes, for how long it is kept."""
    face(face.cache.set, "k", "old", ttl=10, stale_if_error=60)
    face.clock.advance(11)
    load = face.plain(lambda: "new")
    assert face(face.cache.get_or_set, "k", load, ttl=10, stale_while_revalidate=60) == "old"


# -- if an error -----------------------------------------------------------------------------------


def test_an_invalidation_while_the_failing_load_runs_leaves_no_answer(face, invalidate):
    source = Source()
    find = stale(face, source, stale_if_error=60)
    source.gate, source.error = Gate(), OSError("gone")
    waiting = face.start(find, 7)
    source.gate.wait_for_callers(1)
    invalidate(face, find)
    source.gate.release()
    with pytest.raises(OSError, match="gone"):
        waiting.result(DEADLINE)


def test_a_hold_off_does_not_outlive_an_invalidation(face, invalidate):
    source = Source()
    find = stale(face, source, stale_if_error=60, stale_while_revalidate=5)
    source.error = OSError("gone")
    face.clock.advance(5)
    assert face(find, 7) == "7 v1"
    invalidate(face, find)
    with pytest.raises(OSError, match="gone"):
        face(find, 7)
    source.error = None
    assert face(find, 7) == "7 v4"


def test_a_hold_off_is_of_one_key_and_ends_after_a_second(face):
    source = Source()
    find = face.cached(source, ttl=10, stale_if_error=60)
    face(find, 7), face(find, 8)
    face.clock.advance(11)
    source.error = OSError("gone")
    assert (face(find, 7), face(find, 7), face(find, 8), face(find, 8)) == ("7 v1", "7 v1", "8 v2", "8 v2")
    assert source.runs == 4
    face.clock.advance(0.99)
    face(find, 7)
    assert source.runs == 4
    face.clock.advance(0.01)
    face(find, 7)
    assert source.runs == 5


def test_all_who_waited_for_the_failed_load_are_answered(face):
    source = Source()
    find = stale(face, source, stale_if_error=60)
    source.gate, source.error = Gate(), OSError("gone")
    waiting = [face.start(find, 7) for _ in range(3)]
    wait_until(lambda: face.stats().misses == 4, "all wait")
    source.gate.wait_for_callers(1)
    source.gate.release()
    assert [one.result(DEADLINE) for one in waiting] == ["7 v1"] * 3
    assert face.stats().stale_hits == 3


def test_a_failed_load_is_answered_by_what_another_has_loaded_meanwhile(face):
    source = Source()
    find = stale(face, source, stale_if_error=60)
    source.gate, source.error = Gate(), OSError("gone")
    waiting = face.start(find, 7)
    source.gate.wait_for_callers(1)
    face(face.cache.set, find.key(7), "set", ttl=10)
    source.gate.release()
    assert waiting.result(DEADLINE) == "set"
    assert face.stats().stale_hits == 0, "which is not stale"


def test_a_listed_exception_is_an_answer_and_not_covered_up(face):
    source = Source()
    find = stale(face, source, stale_if_error=60, cache_exceptions=(KeyError,), exception_ttl=5)
    source.error = KeyError(7)
    for _ in range(2):
        with pytest.raises(KeyError):
            face(find, 7)
    assert source.runs == 2
    face.clock.advance(5)
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, 7)


@pytest.mark.parametrize("error", [ConfigurationError("x", 1, "y"), SerialisationError("no")])
def test_a_mistake_in_the_program_is_not_covered_up(face, error):
    source = Source()
    find = stale(face, source, stale_if_error=60)
    source.error = error
    with pytest.raises(type(error)):
        face(find, 7)


def test_an_error_without_stale_if_error_is_raised(face):
    source = Source()
    find = stale(face, source, stale_while_revalidate=5)
    face.clock.advance(5)
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, 7)


def test_values_of_no_life_end_what_is_stale(face):
    source = Source()
    source.value = lambda x, run: "old" if run == 1 else None
    find = stale(face, source, stale_if_error=60, none_ttl=0)
    assert face(find, 7) is None
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        face(find, 7)


# -- events ----------------------------------------------------------------------------------------


def test_what_is_told(either):
    face, source = either(watched=True), Source()
    find = stale(face, source, stale_while_revalidate=5, stale_if_error=60)
    source.error = OSError("gone")
    face(find, 7)  # stale, and the reload fails
    face.settle()
    face(find, 7)  # held off
    face.clock.advance(6)
    face(find, 7)  # loads in vain
    face(find, 7)  # held off
    assert face.outcomes() == [
        ("get", "miss"),
        ("load", "ok"),
        ("get", "stale"),
        ("load", "error"),
        ("get", "stale"),
        ("get", "miss"),
        ("load", "error"),
        ("get", "stale"),
        ("get", "stale"),
    ]
    assert {event.key for event in face.events} == {f"cache:{find.key(7)}"}
    assert {event.tags for event in face.events} == {("cache:", "cache:t")}
    stats = face.stats()
    assert stats == (3, 2, 4, 3, 2, 0, 0)
