"""Which clock the entries go by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit._time import Clock
    from scalekit.sqlalchemy._dialect import Dialect


def milliseconds(wall_clock: Clock | None, dialect: Dialect) -> Callable[[], int | None]:
    """Return what gives milliseconds since 1970, or None for the database's own clock."""
    if wall_clock is not None and not callable(wall_clock):
        raise ConfigurationError("wall_clock", wall_clock, "as a callable that returns seconds, or None")
    if wall_clock is None and dialect.remote:
        return lambda: None
    if wall_clock is None:
        return lambda: time.time_ns() // 1_000_000
    return lambda: int(wall_clock() * 1_000)
