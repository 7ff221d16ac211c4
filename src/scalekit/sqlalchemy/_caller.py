"""How a store for threads does its operations; `_async_caller` is that for event loops."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.sqlalchemy._deadline import connect_in_time, run_in_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.sqlalchemy._database import Database


def caller(database: Database) -> Callable[..., Any]:
    """Return what does an operation: by its name, its function, and further arguments."""
    if not database.dialect.remote:
        return partial(database.call, None)
    database.listen("do_connect", connect_in_time)
    return partial(run_in_time, database.timeout, database.call)
