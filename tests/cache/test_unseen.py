"""No failure leaves no trace: every load has its event, and what no caller sees is logged."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from scalekit.cache import MemoryCacheStore
from scalekit.cache._unseen import Unseen
from scalekit.errors import BackendError, SerialisationError
from scalekit.testing import flaky
from tests.cache.either import DEADLINE, Source

STALE = {"ttl": 10, "stale_while_revalidate": 60}


class Writes(MemoryCacheStore):
    """A store that writes bytes, and forgets them."""

    __slots__ = ()

    def write(self, slot, entry, snapshot, now, /):
        slot.serializer.dumps(entry.value)
        return super().write(slot, entry, snapshot, now)


@pytest.fixture(params=["one", "many"])
def way(request):
    """How a value is asked for: with `cached`, or with `cached_many`."""
    return request.param


def cached(face, source, way, **options):
    """A function of x, and how it is refreshed."""
    if way == "one":
        find = face.cached(source, **options)
        return lambda: face(find, 7), lambda: face(find.refresh, 7)

    def load(ids):
        found = {}
        for id_ in ids:
            found[id_] = yield from source(id_)
        return found

    find = face.cached_many(load, **options)
    return lambda: face(find, [7]).get(7), lambda: face(find.refresh, 7).get(7)


def loads(face):
    return [(event.outcome, event.error) for event in face.events if event.name == "load"]


def agrees(face):
    told, stats = Counter(outcome for outcome, _ in loads(face)), face.stats()
    return stats.loads == told.total() and stats.load_errors == told["error"]


def records(caplog):
    return [
        (record.levelname, record.exc_info[1]) for record in caplog.records if record.name == "scalekit.cache"
    ]


def test_a_value_that_cannot_be_written_is_a_failed_load(either, way):
    face, source = either(Writes(), watched=True), Source()
    source.value = lambda x, run: object()
    find, refresh = cached(face, source, way, ttl=10)
    for call in (find, refresh):
        with pytest.raises(SerialisationError) as caught:
            call()
        assert loads(face)[-1] == ("error", caught.value)
    assert (face.stats().loads, face.stats().load_errors) == (2, 2)
    assert agrees(face)


def test_a_reload_whose_value_cannot_be_written_is_told_and_logged(either, way, caplog):
    face, source = either(Writes(), watched=True), Source()
    find, _ = cached(face, source, way, **STALE)
    assert find() == "7 v1"
    source.value = lambda x, run: object()
    face.clock.advance(11)
    assert find() == "7 v1"
    face.settle()
    [_, (outcome, error)] = loads(face)
    assert (outcome, type(error)) == ("error", SerialisationError)
    assert records(caplog) == [("WARNING", error)]
    assert agrees(face)


def test_an_event_has_the_loaders_exception(either, way):
    face, source = either(watched=True), Source()
    source.error = OSError("gone")
    find, _ = cached(face, source, way, ttl=10)
    with pytest.raises(OSError, match="gone") as caught:
        find()
    assert loads(face) == [("error", caught.value)]
    source.error = None
    find()
    assert loads(face)[1:] == [("ok", None)]


def test_a_listed_exception_that_cannot_be_written_is_told_once(either):
    class Refuses(MemoryCacheStore):
        __slots__ = ()

        def write(self, slot, entry, snapshot, now, /):
            raise SerialisationError("no")

    face, source = either(Refuses(), watched=True), Source()
    source.error = KeyError("answer")
    find, _ = cached(face, source, "one", ttl=10, cache_exceptions=(KeyError,))
    with pytest.raises(SerialisationError):
        find()
    assert loads(face) == [("error", source.error)]
    assert agrees(face)


def test_a_load_is_told_of_though_the_store_raises(either, way):
    store = flaky(MemoryCacheStore(), rate=1.0, only={"write"})
    face = either(store, watched=True, on_error="raise")
    find, _ = cached(face, Source(), way, ttl=10)
    with pytest.raises(BackendError) as caught:
        find()
    assert loads(face) == [("error", caught.value)]
    assert agrees(face)


def test_failures_behind_the_callers_backs_are_logged_once_a_second(either, way, caplog):
    face, source = either(), Source()
    find, _ = cached(face, source, way, **STALE)
    find()
    face.clock.advance(11)
    source.error = OSError("gone")
    for _ in range(3):
        assert find() == "7 v1"
        face.settle()
        face.clock.advance(0.4)
    assert records(caplog) == [("WARNING", source.error)]
    face.clock.advance(1)
    find()
    face.settle()
    assert len(records(caplog)) == 2


def test_a_failure_that_is_covered_by_a_reserve_is_logged(either, way, caplog):
    face, source = either(), Source()
    find, _ = cached(face, source, way, ttl=10, stale_if_error=60)
    find()
    face.clock.advance(11)
    source.error = OSError("gone")
    assert find() == "7 v1"
    assert records(caplog) == [("WARNING", source.error)]


def test_a_failure_that_a_caller_sees_is_not_logged(either, way, caplog):
    face, source = either(), Source()
    source.error = OSError("gone")
    find, _ = cached(face, source, way, ttl=10)
    with pytest.raises(OSError, match="gone"):
        find()
    assert records(caplog) == []


def test_what_was_not_logged_is_counted(caplog):
    unseen, error = Unseen(), OSError("gone")
    for now in (5.0, 5.1, 5.9, 6.0, 6.5, 7.1):
        unseen.tell("k", error, now)
    line = "a load of k failed, and callers are served what was there"
    assert [record.getMessage() for record in caplog.records] == [
        line,
        f"{line} (2 more since the last warning)",
        f"{line} (1 more since the last warning)",
    ]
    assert all(record.exc_info[1] is error for record in caplog.records)


def test_a_clock_that_was_set_back_does_not_silence_the_log(caplog):
    unseen = Unseen()
    unseen.tell("k", OSError(), 1_000.0)
    unseen.tell("k", OSError(), 3.0)
    assert len(caplog.records) == 2


def test_a_finaliser_may_come_in_the_middle_of_telling():
    unseen, told = Unseen(), []

    class Now(float):
        """As where the collector comes while the times are compared."""

        def __ge__(self, other):
            if not told:
                told.append("inside")
                unseen.tell("l", OSError("gone"), 1.0)
            return float(self) >= other

    def tell():
        unseen.tell("k", OSError("gone"), Now(1.0))
        told.append("outside")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert told == ["inside", "outside"]
