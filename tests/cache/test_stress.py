"""No stale value in a storm of loads and invalidations; and the storm finds the classic mistakes."""

from __future__ import annotations

import asyncio

import pytest

from scalekit.cache import AsyncCache, Cache
from tests.cache.stress.__main__ import tasks, threads
from tests.cache.stress.mutants import MUTANTS, mutated
from tests.cache.stress.stores import PLACES
from tests.cache.stress.storm import async_stress, stress

READS = 20_000


def test_threads_read_nothing_stale():
    outcome = stress(Cache(), READS)
    assert outcome.stale == 0
    assert outcome.loads > 50
    assert outcome.invalidations > 50


def test_tasks_read_nothing_stale():
    outcome = asyncio.run(async_stress(AsyncCache(), READS))
    assert outcome.stale == 0
    assert outcome.loads > 50
    assert outcome.invalidations > 50


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_mistake_is_found(mutant):
    # In rounds, until it shows: a busy machine may let one pass in peace.
    assert any(mutated(mutant, READS).stale for _ in range(10))


@pytest.mark.parametrize("name", ["Redis", "tiered", "SQLite"])
def test_on_other_stores_too(name):
    with PLACES[name]() as place:
        assert [threads(place, 300).stale, asyncio.run(tasks(place, 300)).stale] == [0, 0]
