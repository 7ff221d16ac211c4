"""How invalidations reach the caches once a transaction is committed: at once, and when it has settled."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import await_only

from scalekit.sqlalchemy._alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterator

    # A cache, and how much later to invalidate each tag once more (0: not).
    Wish = tuple[Any, dict[str, float]]

alarms = Alarms("scalekit-settle")
_tasks: set[asyncio.Task[None]] = set()  # the event loop itself would let go of them


def deliver(wishes: Collection[Wish]) -> None:
    """Invalidate the tags of each cache; the first error is raised when all have had their turn."""
    for cache, late, settle in _settling(wishes):
        alarms.set(monotonic() + settle, partial(cache.invalidate_tags, *late))
    errors: list[Exception] = []
    for cache, tags in wishes:
        try:
            cache.invalidate_tags(*tags)
        except Exception as error:  # noqa: BLE001  # the others must still be told
            errors.append(error)
    _raise_first(errors)


def deliver_from_greenlet(wishes: Collection[Wish]) -> None:
    """Do the same for async caches, from within a session's event, which runs in SQLAlchemy's greenlet."""
    for cache, tags, settle in _settling(wishes):
        _started(_settled(cache, tags, settle))
    # A task that is cancelled now has committed all the same: what it has to tell is told without it.
    await_only(asyncio.shield(_started(_delivered(wishes))))


async def _delivered(wishes: Collection[Wish]) -> None:
    errors: list[Exception] = []
    for cache, tags in wishes:
        try:
            await cache.invalidate_tags(*tags)
        except Exception as error:  # noqa: BLE001  # as above
            errors.append(error)
    _raise_first(errors)


async def _settled(cache: Any, tags: Collection[str], settle: float) -> None:
    await sleep(settle)
    await cache.invalidate_tags(*tags)


def _settling(wishes: Collection[Wish]) -> Iterator[tuple[Any, list[str], float]]:
    for cache, tags in wishes:
        for settle in sorted({settle for settle in tags.values() if settle > 0}):
            yield cache, [tag for tag, later in tags.items() if later == settle], settle


def _started(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _raise_first(errors: list[Exception]) -> None:
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"another cache failed as well: {other}")
        raise first
