"""The items that a call of many ids has to load, and what is stored of what the load brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from scalekit.cache._entry import Blind, Entry, Slot, Snapshot
from scalekit.cache._freshness import entry_of
from scalekit.cache._many import AbsentItem, is_absent
from scalekit.cache._raised import Raised, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from scalekit.cache._flight import Ident
    from scalekit.cache._policy import CachePolicy


class Wanted(NamedTuple):
    """An item to load, the snapshot to store it with, and whether the store may have an older one.

    None for the snapshot says that the load has yet to begin.
    """

    id: Hashable
    slot: Slot
    snapshot: Snapshot | None
    old: bool

    @property
    def blind(self) -> bool:
        """Whether it cannot be stored."""
        return isinstance(self.snapshot, Blind)


def wanted_of(id_: Hashable, slot: Slot, found: Entry | Snapshot | None) -> Wanted:
    """Return an item to load, whatever was `found` of it; None is for what was not looked at."""
    snapshot = found.snapshot if isinstance(found, Entry) else found
    return Wanted(id_, slot, snapshot, old=not isinstance(found, Snapshot))


def begun(wanted: Iterable[Wanted], snapshots: Iterable[Snapshot]) -> list[Wanted]:
    """Return `wanted`, those that had no snapshot with one of `snapshots` each."""
    left = iter(snapshots)
    return [item._replace(snapshot=next(left)) if item.snapshot is None else item for item in wanted]


def by_flight(wanted: Iterable[Wanted], *, alone: bool = False) -> dict[Ident, list[Wanted]]:
    """Return `wanted` by the flights that bring them; `alone`, they share none with other calls.

    Several come with one flight if their ids have one key: one is loaded, and it answers for all of them, as
    it would if it were stored already.
    """
    flights: dict[Ident, list[Wanted]] = {}
    for item in wanted:
        snapshot = Blind.made() if alone else cast("Snapshot", item.snapshot)
        flights.setdefault((item.slot.key, snapshot), []).append(item)
    return flights


def with_absent(
    items: dict[Hashable, Any], wanted: Iterable[Wanted], policy: CachePolicy
) -> dict[Hashable, Any]:
    """Return `items`, with what says that there is none for the others if the policy keeps that."""
    if policy.none_ttl is None:
        return items
    return items | {item.id: Raised(AbsentItem()) for item in wanted if item.id not in items}


def writes_of(
    wanted: Iterable[Wanted],
    items: Mapping[Hashable, Any],
    policy: CachePolicy,
    *,
    now: float,
    load_seconds: float,
    chance: Callable[[], float],
) -> list[tuple[Slot, Entry, Snapshot]]:
    """Return the writes of what a load brought; `chance`, from 0 to 1, places each in the jitter."""
    gone = Entry(None, expires=now)  # takes away what the store has for an id that is no more
    writes: list[tuple[Slot, Entry, Snapshot]] = []
    for item in wanted:
        if item.snapshot is None or item.blind:
            continue
        if item.id in items:
            value = items[item.id]
            known = None if is_absent(value) else value  # an absence lives as long as a None
            placed = chance() if policy.jitter else 0.0
            entry = entry_of(known, policy, now=now, load_seconds=load_seconds, chance=placed)
            entry.value = value
            writes.append((item.slot, entry, item.snapshot))
        elif item.old:
            writes.append((item.slot, gone, item.snapshot))
    return writes


def present(items: Mapping[Hashable, Any], order: Iterable[Hashable]) -> dict[Hashable, Any]:
    """Return those of `items` that there are, in the `order` of their ids."""
    there: dict[Hashable, Any] = {}
    for id_ in order:
        if id_ not in items:
            continue
        value = items[id_]
        if isinstance(value, Raised):
            if is_absent(value):
                continue
            value = unwrapped(value)
        there[id_] = value
    return there
