"""A statement to SQLite that has begun is ended, also for a task that is cancelled meanwhile.

Given up, it would keep its lock on the file until the garbage collector finds its cursor, and until then
nobody could write. It takes no longer than the driver's `timeout`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import greenlet_spawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from scalekit.sqlalchemy._database import Database


class _Progress:
    """Whether an operation has a connection; a `Limit` without a deadline."""

    __slots__ = ("connection", "expired")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.expired = False

    def connected(self, connection: Connection) -> None:
        """From now on it must not be interrupted."""
        self.connection = connection

    def done(self) -> None:
        """It may be, for it has none."""
        self.connection = None


async def spawned_unbroken(database: Database, name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Do an operation in a greenlet; if cancelled, wait until it is over, but not until it may begin."""
    progress = _Progress()
    work = asyncio.ensure_future(greenlet_spawn(database.call, progress, name, function, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if progress.connection is None:
            work.cancel()
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # else it would be told as one that nobody has seen
        raise
