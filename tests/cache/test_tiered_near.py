"""The near tier without a server: what is kept, what ends it, and until when it is served."""

from __future__ import annotations

import math
import threading
from time import monotonic

import pytest

from scalekit.cache import Entry, IndexedEntry, MemoryCacheStore, Snapshot
from scalekit.cache._entry import NamedEntry
from scalekit.cache._frame import entry_name, load_name, tag_name
from scalekit.cache.tiered import _near
from scalekit.cache.tiered._near import Copying, Near
from scalekit.errors import ConfigurationError
from scalekit.testing._cache_probe import place

NOW = 1_000.0
SLOT = place("shop:k", "shop:", "shop:t")
SESSION = "a session"


class Here:
    """The process's own clock, moved by hand."""

    def __init__(self, monkeypatch):
        self.at = 50.0
        monkeypatch.setattr(_near, "monotonic", lambda: self.at)


@pytest.fixture
def here(monkeypatch):
    return Here(monkeypatch)


@pytest.fixture
def near(here):
    near = Near(MemoryCacheStore(), 1.0)
    near.begun(SESSION)
    near.proven(SESSION, here.at)
    return near


def entry(value="value", *, ttl=60.0, fresh=60.0, kind=NamedEntry, now=NOW):
    return kind(value, expires=now + ttl, fresh_until=now + fresh, load_seconds=0.5)


def keep(near, found=None, *, slot=SLOT, now=NOW):
    copying = near.look(slot, now)
    assert isinstance(copying, Copying)
    copying.keep(entry(now=now) if found is None else found, now)


def held(near, slot=SLOT, now=NOW):
    found = near.look(slot, now)
    return found if isinstance(found, Entry) else None


def test_a_fresh_entry_is_kept_as_it_is(near):
    value = object()
    keep(near, entry(value))
    found = held(near)
    assert found.value is value
    assert (found.expires, found.fresh_until, found.load_seconds) == (NOW + 60, NOW + 60, 0.5)
    assert found.snapshot is None, "a snapshot of the near store is nothing to the far one"


def test_what_may_end_unheard_is_not_kept(near):
    keep(near, entry(kind=Entry))
    assert held(near) is None
    keep(near, entry(fresh=0.0))
    assert held(near) is None
    keep(near, Snapshot([b"token"]))
    assert held(near) is None


def test_a_stale_copy_is_for_the_far_store_to_judge(near):
    keep(near, entry(fresh=5.0))
    assert held(near, now=NOW + 4.9)
    assert near.look(SLOT, NOW + 5.0) is None
    assert isinstance(near.look(SLOT, NOW + 60.0), Copying)


CHANGES = {
    "the entry": lambda near: near.changed([entry_name(SLOT.key)]),
    "a tag": lambda near: near.changed([b"sk:e:other", tag_name("shop:t"), b"sk:t:other"]),
    "another tag": lambda near: near.changed([tag_name("shop:")]),
    "everything": lambda near: near.changed(None),
    "a new session": lambda near: near.begun("another"),
    "the end of the session": lambda near: (near.lost(SESSION), near.proven(SESSION, 50.0)),
    "a call of this process, by key": lambda near: near.drop(["shop:other", SLOT.key]),
    "a call of this process, by tag": lambda near: near.drop_tagged(["shop:other", "shop:t"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_ends_the_copy(near, change):
    keep(near)
    CHANGES[change](near)
    assert held(near) is None
    keep(near)
    assert held(near)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_question_and_copy_lets_none_be_kept(near, change):
    """Rule 1: the answer may be older than the announcement, whichever came first."""
    copying = near.look(SLOT, NOW)
    CHANGES[change](near)
    copying.keep(entry(), NOW)
    assert held(near) is None


def test_other_changes_end_nothing(near):
    keep(near)
    near.changed([entry_name("shop:other"), tag_name("shop:other"), tag_name(SLOT.key), load_name(SLOT.key)])
    near.changed([])
    near.drop(["shop:other"])
    near.drop_tagged(["shop:other"])
    assert held(near)


def test_long_and_odd_names_are_found_again(near):
    for key, tag in [("x" * 500, "y" * 500), ("\ud800é\0", "€"), ("sk:t:a", "sk:e:a"), ("*", "*")]:
        slot = place(key, tag)
        for change in ([entry_name(key)], [tag_name(tag)]):
            keep(near, slot=slot)
            assert held(near, slot)
            near.changed(change)
            assert held(near, slot) is None, (key, tag, change)


def test_tiers_and_caches_that_share_a_store_keep_apart(here):
    store = MemoryCacheStore()
    first, second = tiers = [Near(store, 1.0), Near(store, 1.0)]
    for i, near in enumerate(tiers):
        near.proven(SESSION, here.at)
        keep(near, entry(i))
    store.write(SLOT, entry("of a cache"), None, NOW)
    assert [held(near).value for near in tiers] == [0, 1]
    for change in CHANGES.values():
        change(first)
        assert held(first) is None
        assert (held(second).value, store.read(SLOT, NOW).value) == (1, "of a cache")
        keep(first)


def test_a_wrapper_is_pinned_to_a_copy_of_its_own_tier(here):
    store, indexes = MemoryCacheStore(), [{}, {}]
    tiers = [Near(store, 1.0), Near(store, 1.0)]
    for i, (near, index) in enumerate(zip(tiers, indexes, strict=True)):
        near.proven(SESSION, here.at)
        keep(near, entry(i))
        near.pin(SLOT.key, index, "place", (), 0.0)
    tiers[0].changed(None)
    assert indexes[0] == {}
    assert indexes[1]["place"].value == 1
    assert tiers[1].renew(indexes[1]["place"], NOW)


# -- until when -------------------------------------------------------------------------------------


def test_without_a_session_nothing_is_kept_or_served(here):
    near = Near(MemoryCacheStore(), 1.0)
    assert not near.coherent
    assert near.look(SLOT, NOW) is None
    near.begun(SESSION)
    assert near.look(SLOT, NOW) is None


def test_copies_are_served_until_max_staleness_after_the_latest_proof(near, here):
    keep(near)
    here.at += 0.999
    assert near.coherent
    assert held(near)
    here.at += 0.001
    assert not near.coherent
    assert near.look(SLOT, NOW) is None
    near.proven(SESSION, here.at - 0.5)  # silent, not lost: nothing was missed
    assert held(near)
    here.at += 0.5
    assert held(near) is None


def test_each_session_proves_it_of_all_copies(near, here):
    near.begun("another")
    near.proven("another", here.at)
    keep(near)
    here.at += 0.9
    near.proven("another", here.at)
    here.at += 0.9
    assert held(near)
    near.lost("another")
    assert not near.coherent, "its proofs go with it"
    near.proven(SESSION, here.at)
    assert held(near) is None, "what it would have told is not known"


def test_the_child_of_a_fork_starts_without_proof(near, here):
    keep(near)
    near._proving.acquire()  # by a thread that the child does not have
    near.forked()
    assert near.look(SLOT, NOW) is None
    near.begun("of the child")
    near.proven("of the child", here.at)
    assert held(near) is None
    keep(near)
    assert held(near)


# -- in an index ------------------------------------------------------------------------------------


def pinned(near, now, *, lead=0.0, **times):
    keep(near, entry(now=now, **times), now=now)
    index = {}
    near.pin(SLOT.key, index, 7, (int,), lead)
    return index, index[7]


def served(near, found, now):
    """What a compiled wrapper asks, in its order."""
    return found.epoch is near.store.epoch and found.kinds[0] is int and found.due > now


def test_on_the_same_clock_due_is_when_the_proof_ends(near, here):
    now = here.at - 0.001
    index, found = pinned(near, now)
    assert isinstance(found, IndexedEntry)
    assert not served(near, found, now), "how long it may be served is not known before the first renewal"
    assert near.renew(found, now)
    assert found.due == 51.0
    assert served(near, found, 50.999)
    assert not served(near, found, 51.0)
    here.at = 51.0
    assert not near.renew(found, 51.0)
    near.proven(SESSION, 50.9)
    assert near.renew(found, 51.0)
    assert found.due == 51.9
    assert index == {7: found}


def test_due_is_no_later_than_freshness_and_what_the_face_wants(near, here):
    _, found = pinned(near, here.at, fresh=0.25)
    assert near.renew(found, here.at)
    assert found.due == 50.25
    here.at = 50.25
    near.proven(SESSION, here.at)
    assert not near.renew(found, here.at)
    near.drop([SLOT.key])
    _, found = pinned(near, here.at, fresh=50.0, lead=99.0)  # of half a second each
    assert found.kinds == (int,)
    assert near.renew(found, here.at)
    assert found.due == 50.75
    assert not near.renew(found, 50.75)


@pytest.mark.parametrize("now", [1_000_000.0, 50.1, 48.9])
def test_of_another_clock_each_hit_asks(near, here, now):
    """It may stand still, as a test's does, while the server is silent."""
    _, found = pinned(near, now)
    for _ in range(3):
        assert near.renew(found, now)
        assert not served(near, found, now)
    here.at = 51.0
    assert not near.renew(found, now)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_ends_it_in_the_index_at_once(near, here, change):
    index, found = pinned(near, here.at)
    assert near.renew(found, here.at)
    CHANGES[change](near)
    assert not served(near, found, here.at)
    assert not near.renew(found, here.at)
    assert not served(near, found, here.at), "a due that was moved on revives nothing"
    assert not any(served(near, each, here.at) for each in index.values())


def test_other_invalidations_end_nothing_in_the_index(near, here):
    _, found = pinned(near, here.at)
    near.renew(found, here.at)
    keep(near, slot=place("shop:other", "shop:u"), now=here.at)
    near.changed([tag_name("shop:u")])
    assert near.renew(found, here.at)
    assert served(near, found, here.at)


# -- arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, object(), MemoryCacheStore, {}])
def test_the_near_store_must_be_indexed_and_never_block(store):
    with pytest.raises(ConfigurationError, match=r"expected near as a store in this process"):
        Near(store, 1.0)


def test_proofs_are_asked_for_four_times_as_often_as_needed():
    assert Near(MemoryCacheStore(), 0.2).interval == 0.05
    assert Near(MemoryCacheStore(), 3_600.0).interval == 0.5


def test_sessions_of_two_threads_do_not_disturb_each_other():
    near = Near(MemoryCacheStore(), 3_600.0)
    errors = []

    def session(name):
        try:
            for _ in range(2_000):
                near.begun(name)
                near.proven(name, monotonic())
                near.lost(name)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=session, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not near.coherent


@pytest.mark.parametrize("load_seconds", [0.0, 0.5])
def test_an_infinite_lead_is_due_at_once(here, near, load_seconds):
    found, index = entry(now=here.at), {}
    found.load_seconds = load_seconds
    keep(near, found, now=here.at)
    near.pin(SLOT.key, index, "place", (), math.inf)
    assert not near.renew(index["place"], here.at)
