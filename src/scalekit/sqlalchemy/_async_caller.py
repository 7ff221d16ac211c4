"""How a store for event loops does its operations: the same code as for threads, in greenlets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scalekit.sqlalchemy._async_deadline import spawned_in_time
from scalekit.sqlalchemy._loops import of_this_loop
from scalekit.sqlalchemy._unbroken import spawned_unbroken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from scalekit.sqlalchemy._database import Database


def async_caller(database: Database) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return what does an operation in a greenlet: by its name, its function, and further arguments."""
    if database.driver == "asyncpg":
        database.listen("checkout", of_this_loop)
    return partial(spawned_in_time if database.dialect.remote else spawned_unbroken, database)
