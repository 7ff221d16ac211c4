"""What a cached coroutine function does when it is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.cache._async_warming import AsyncWarming
from scalekit.cache._freshness import lead_of
from scalekit.cache._function import finished

if TYPE_CHECKING:
    from scalekit.cache._async_read_many import AsyncReadMany
    from scalekit.cache._async_read_through import AsyncReadThrough
    from scalekit.cache._entry import IndexedEntry
    from scalekit.cache._many import ManyPlan
    from scalekit.cache._plan import Plan
    from scalekit.cache._warm import OnProgress, WarmReport
    from scalekit.cache.protocols import IndexedCacheStore


def async_cached_function(plan: Plan, reads: AsyncReadThrough, store: IndexedCacheStore | None) -> Any:
    """Return the cached function of `plan`; it finds entries of `store` by itself, if one is given."""
    index: dict[Any, IndexedEntry] = {}
    indexed = store if plan.indexable else None
    arguments_of = plan.signature.arguments
    counts, clock, lead = reads.watch.counts, reads.clock, lead_of(plan.policy)

    async def slow(*args: Any, **kwargs: Any) -> Any:
        arguments = arguments_of(*args, **kwargs)
        place = plan.place(arguments) if indexed is not None else None
        if indexed is None or place is None:
            return await reads.get(plan.slot(arguments), partial(plan.function, *args, **kwargs), plan.policy)
        # After an invalidation elsewhere an entry is renewed where it lies: no key is made for it.
        entry = index.get(place[0])
        if entry is not None and entry.kinds == place[1] and indexed.renew(entry, clock()):
            counts.hits += 1
            return entry.value
        slot = plan.slot(arguments)
        value = await reads.get(slot, partial(plan.function, *args, **kwargs), plan.policy)
        indexed.pin(slot.key, index, *place, lead)
        return value

    def key(*args: Any, **kwargs: Any) -> str:
        return plan.key(arguments_of(*args, **kwargs))

    async def invalidate(*args: Any, **kwargs: Any) -> None:
        await reads.invalidations.deliver([plan.slot_key(arguments_of(*args, **kwargs))], ())

    async def refresh(*args: Any, **kwargs: Any) -> Any:
        slot = plan.slot(arguments_of(*args, **kwargs))
        return await reads.refresh(slot, partial(plan.function, *args, **kwargs), plan.policy)

    async def warm(*args: Any, concurrency: int = 4, on_progress: OnProgress | None = None) -> WarmReport:
        *receiver, calls = args
        warming = AsyncWarming(reads, plan, receiver)
        return await warming.run(calls, concurrency=concurrency, on_progress=on_progress)

    if indexed is None:
        wrapper = plan.signature.wrapper(slow)
    else:
        wrapper = plan.signature.indexed_wrapper(slow, index, indexed, counts, clock)
    return finished(wrapper, plan.signature, key=key, invalidate=invalidate, refresh=refresh, warm=warm)


def async_cached_many_function(plan: ManyPlan, reads: AsyncReadMany) -> Any:
    """Return the cached function of many ids of `plan`."""

    async def cached(*args: Any, **kwargs: Any) -> Any:
        arguments = plan.signature.arguments(*args, **kwargs)
        return await reads.get(plan.slots(arguments[plan.ids]), partial(plan.load, arguments), plan.policy)

    def key(*args: Any) -> str:
        return plan.key(args[-1])

    async def invalidate(*args: Any) -> None:
        await reads.invalidate([slot.key for slot in plan.slots(plan.ids_of(args)).values()])

    async def refresh(*args: Any, **kwargs: Any) -> Any:
        ids = plan.ids_of(args)
        receiver = args[: len(args) - len(ids)]
        arguments = plan.signature.arguments(*receiver, **{plan.ids: ids}, **kwargs)
        return await reads.refresh(plan.slots(ids), partial(plan.load, arguments), plan.policy)

    wrapper = plan.signature.wrapper(cached)
    return finished(wrapper, plan.signature, key=key, invalidate=invalidate, refresh=refresh)
