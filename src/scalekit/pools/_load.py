"""The work that the fleet brings to the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalekit._time import seconds
from scalekit.errors import ConfigurationError
from scalekit.pools._numbers import amount
from scalekit.pools._words import duration

if TYPE_CHECKING:
    from scalekit._time import Duration


@dataclass(frozen=True, slots=True, init=False)
class Load:
    """What the whole fleet asks of the database at its busiest.

    `rate` is checkouts per second over all roles, split among them by weight. `hold` is how long a
    checkout lasts on average, and `cv` the coefficient of variation of that time: 0 for constant,
    1 (the default) for exponential, above for a mix of short and long.
    `db_cpu` is the processor time that the database spends per checkout, at most `hold`; with
    `Server.cores` it gives the knee beyond which more connections only slow each other down.
    `wait_p99` is the wait for a connection that 99 of 100 checkouts must stay below; without it only
    the utilisation (at most 80 %) counts. Durations are kept as float seconds.

    Raises `ConfigurationError` for numbers that cannot be, `db_cpu` above `hold` among them.
    """

    rate: float
    hold: float
    cv: float
    db_cpu: float | None
    wait_p99: float | None

    def __init__(
        self,
        *,
        rate: float,
        hold: Duration,
        cv: float = 1.0,
        db_cpu: Duration | None = None,
        wait_p99: Duration | None = None,
    ) -> None:
        checked = {
            "rate": amount(rate, "rate"),
            "hold": seconds(hold, "hold"),
            "cv": amount(cv, "cv", allow_zero=True),
            "db_cpu": None if db_cpu is None else seconds(db_cpu, "db_cpu"),
            "wait_p99": None if wait_p99 is None else seconds(wait_p99, "wait_p99", allow_zero=True),
        }
        cpu, held = checked["db_cpu"], seconds(hold, "hold")
        if cpu is not None and cpu > held:
            raise ConfigurationError(
                "db_cpu", db_cpu, f"<= hold = {duration(held)}: the database works within the checkout"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)
