"""What a cached function does when it is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.cache._freshness import lead_of
from scalekit.cache._methods import finished
from scalekit.cache._signature import MOST_REMEMBERED, Remembered
from scalekit.cache._warming import Warming

if TYPE_CHECKING:
    from scalekit.cache._entry import IndexedEntry, Slot
    from scalekit.cache._many import ManyPlan
    from scalekit.cache._plan import Plan
    from scalekit.cache._read_many import ReadMany
    from scalekit.cache._read_through import ReadThrough
    from scalekit.cache._warm import OnProgress, WarmReport
    from scalekit.cache.protocols import IndexedCacheStore


def cached_function(plan: Plan, reads: ReadThrough, store: IndexedCacheStore | None) -> Any:
    """Return the cached function of `plan`; it finds entries of `store` by itself, if one is given."""
    arguments_of = plan.signature.arguments

    def key(*args: Any, **kwargs: Any) -> str:
        return plan.key(arguments_of(*args, **kwargs))

    def invalidate(*args: Any, **kwargs: Any) -> None:
        reads.invalidations.deliver([plan.slot_key(arguments_of(*args, **kwargs))], ())

    def refresh(*args: Any, **kwargs: Any) -> Any:
        slot = plan.slot(arguments_of(*args, **kwargs))
        return reads.refresh(slot, partial(plan.function, *args, **kwargs), plan.policy)

    def warm(*args: Any, concurrency: int = 4, on_progress: OnProgress | None = None) -> WarmReport:
        receiver, calls = plan.only(args, "warm", "calls")
        warming = Warming(reads, plan, receiver)
        return warming.run(calls, concurrency=concurrency, on_progress=on_progress)

    # A reload may put an exception in the place of what was just served, and an index serves what it finds.
    if store is not None and plan.indexable and plan.l1 and not plan.policy.cache_exceptions:
        wrapper = indexed_call(plan, reads, store)
    elif plan.remembers:
        wrapper = remembering_call(plan, reads)
    else:
        wrapper = plain_call(plan, reads)
    return finished(wrapper, plan.signature, key=key, invalidate=invalidate, refresh=refresh, warm=warm)


def plain_call(plan: Plan, reads: ReadThrough) -> Any:
    """Return a function that makes the slot of every call."""

    def slow(*args: Any, **kwargs: Any) -> Any:
        slot = plan.slot(plan.signature.arguments(*args, **kwargs))
        return reads.get(slot, partial(plan.function, *args, **kwargs), plan.policy)

    return plan.signature.wrapper(slow)


def remembering_call(plan: Plan, reads: ReadThrough) -> Any:
    """Return a function that remembers the slots of its latest calls."""
    slots: dict[Any, Remembered] = {}

    def known(slot: Slot, /, *args: Any, **kwargs: Any) -> Any:
        return reads.get(slot, partial(plan.function, *args, **kwargs), plan.policy)

    def slow(*args: Any, **kwargs: Any) -> Any:
        arguments = plan.signature.arguments(*args, **kwargs)
        slot, place = plan.slot(arguments), plan.place(arguments)
        if place is not None:
            if len(slots) >= MOST_REMEMBERED:
                slots.clear()
            slots[place[0]] = Remembered(slot, place[1])
        return known(slot, *args, **kwargs)

    return plan.signature.remembering_wrapper(slow, known, slots)


def indexed_call(plan: Plan, reads: ReadThrough, store: IndexedCacheStore) -> Any:
    """Return a function that finds entries of `store` without asking it."""
    index: dict[Any, IndexedEntry] = {}
    counts, lead = reads.watch.counts, lead_of(plan.policy)

    def slow(*args: Any, **kwargs: Any) -> Any:
        arguments = plan.signature.arguments(*args, **kwargs)
        place = plan.place(arguments)
        if place is not None:
            # After an invalidation elsewhere an entry is renewed where it lies: no key is made for it.
            entry = index.get(place[0])
            if entry is not None and entry.kinds == place[1] and store.renew(entry, reads.clock()):
                counts.hits += 1
                return entry.value
        slot = plan.slot(arguments)
        value = reads.get(slot, partial(plan.function, *args, **kwargs), plan.policy)
        if place is not None:
            store.pin(slot.key, index, *place, lead)
        return value

    return plan.signature.indexed_wrapper(slow, index, store, counts, reads.clock)


def cached_many_function(plan: ManyPlan, reads: ReadMany) -> Any:
    """Return the cached function of many ids of `plan`."""

    def cached(*args: Any, **kwargs: Any) -> Any:
        arguments = plan.bound(args, kwargs)
        return reads.get(plan.slots(arguments), partial(plan.load, arguments), plan.policy)

    def key(*args: Any) -> str:
        return plan.key(*args)

    def invalidate(*args: Any) -> None:
        reads.invalidate([slot.key for slot in plan.slots_of(args, "invalidate").values()])

    def refresh(*args: Any, **kwargs: Any) -> Any:
        arguments = plan.bound_ids(args, kwargs, "refresh")
        return reads.refresh(plan.slots(arguments), partial(plan.load, arguments), plan.policy)

    wrapper = plan.signature.wrapper(cached)
    return finished(wrapper, plan.signature, key=key, invalidate=invalidate, refresh=refresh)
