"""One pool's settings, and the keyword arguments that bring them about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalekit._time import seconds
from scalekit.pools._numbers import count

if TYPE_CHECKING:
    from scalekit._time import Duration


@dataclass(frozen=True, slots=True, init=False)
class PoolConfig:
    """The settings of one process's pool; frozen, so change a copy with `dataclasses.replace`.

    `size` connections are kept open and never more. A checkout waits at most `timeout` for one
    (2 s by default: a request that waits longer is lost anyway). A connection older than
    `max_lifetime` (30 min) is replaced at its next checkout. Durations are kept as float seconds.

    Raises `ConfigurationError` for a size below 1 or a duration that is not above zero.
    """

    size: int
    timeout: float
    max_lifetime: float

    def __init__(self, *, size: int, timeout: Duration = 2.0, max_lifetime: Duration = 1_800.0) -> None:
        object.__setattr__(self, "size", count(size, "size"))
        object.__setattr__(self, "timeout", seconds(timeout, "timeout"))
        object.__setattr__(self, "max_lifetime", seconds(max_lifetime, "max_lifetime"))

    def sqlalchemy(self) -> dict[str, Any]:
        """Return keyword arguments for SQLAlchemy's `create_engine`: `create_engine(url, **kwargs)`.

        `max_overflow` is 0, for `size` must mean itself: SQLAlchemy's own default adds ten more.
        `pool_pre_ping` costs a round trip per checkout and spares the application the errors after a
        server restart. They are options of SQLAlchemy's queue pool, which is the default for every
        database but SQLite in memory.
        """
        return {
            "pool_size": self.size,
            "max_overflow": 0,
            "pool_timeout": self.timeout,
            "pool_recycle": self.max_lifetime,
            "pool_pre_ping": True,
        }
