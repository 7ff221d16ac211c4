"""The size of one role's pools, and which bound decided it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from scalekit.errors import OversubscribedPools
from scalekit.pools import _queueing as queueing
from scalekit.pools._config import PoolConfig
from scalekit.pools._numbers import MOST
from scalekit.pools._words import MINUS, TIMES, duration, figure, percent

if TYPE_CHECKING:
    from scalekit.pools._load import Load
    from scalekit.pools._role import Role

Bound: TypeAlias = Literal["budget", "load", "knee", "threads", "deadlock", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """The pool that every process of one role gets.

    `bound` names what decided the `size`: "budget" (its share of the server), "load", "knee" (the
    database's processors), "threads" (tasks that could use more), "deadlock" (nested checkouts) or
    "fixed" (`Role.size`); `why` says it with the figures. `in_use` is the mean number of a process's
    connections in use and `wait_p99` the predicted p99 wait in seconds; both are None without a load.
    """

    name: str
    role: Role
    size: int
    bound: Bound
    why: str
    in_use: float | None = None
    wait_p99: float | None = None

    @property
    def connections(self) -> int:
        """Connections of all the role's processes together, those of a rolling deploy included."""
        return self.role.most_processes * self.size

    @property
    def config(self) -> PoolConfig:
        """The pool's settings: this size, and the defaults of `PoolConfig`."""
        return PoolConfig(size=self.size)

    def sqlalchemy(self) -> dict[str, Any]:
        """Return keyword arguments for `create_engine`; see `PoolConfig.sqlalchemy`."""
        return self.config.sqlalchemy()


def by_budget(name: str, role: Role, size: int, share: str) -> RolePlan:
    """Return the plan of a role whose load is not known: `size` is its share of the server."""
    bound: Bound = "budget"
    if role.size is not None:
        bound = "fixed"
    elif size == role.most:
        bound = "threads"
    elif size == role.least > 1:
        bound = "deadlock"
    return RolePlan(name=name, role=role, size=size, bound=bound, why=_reason(bound, role, share))


def by_load(name: str, role: Role, load: Load, part: float, knee: float | None) -> RolePlan:
    """Return the plan of a role that gets `part` (0 to 1) of the fleet's `load` and of its `knee`.

    Raises `OversubscribedPools` when the role's threads, or its fixed size, cannot carry its part.
    """
    rate = load.rate * part / role.steady_processes
    offered = queueing.in_use(rate, load.hold)
    figures = f"{figure(rate)}/s{TIMES}{duration(load.hold)} = {figure(offered)} in use per process"
    if role.most is not None and queueing.connections_for(offered) > role.most:
        raise OversubscribedPools(
            f"{name}: {figures}, more than 80 % of what {role.threads} threads can hold:"
            " add processes or threads"
        )
    need = queueing.connections_needed(rate, load.hold, cv=load.cv, wait_p99=load.wait_p99)
    bounds: list[tuple[int, Bound]] = [(need, "load")]
    if role.most is not None:
        bounds.append((role.most, "threads"))
    if knee is not None:
        # A process needs a whole connection, hence the rounding up.
        share = math.ceil(min(knee * part / role.steady_processes, MOST))
        bounds.append((share, "knee"))
    size, bound = min(bounds, key=lambda each: each[0])
    if size < role.least:
        size, bound = role.least, "deadlock"
    if role.size is not None:
        if role.size < size:
            raise OversubscribedPools(
                f"{name} is fixed at size={role.size}, but its load needs {size}: {figures}"
            )
        size, bound = role.size, "fixed"
    wait = (
        0.0
        if role.most is not None and size >= role.most
        else queueing.wait(size, rate=rate, hold=load.hold, cv=load.cv)
    )
    if not part:
        figures = f"weight 0, no part of the load; {figures}"
    predicted = f"{figures}, {percent(offered / size)} utilised, p99 wait {duration(wait)}"
    reason = _reason(
        bound, role, f"its share of the {figure(knee or 0)} connections that keep every processor busy"
    )
    if bound == "knee":
        reason += f"; the wait asked for would take {need}"
    why = f"{bound}: {predicted}" if bound == "load" else f"{reason}; {predicted}"
    return RolePlan(name=name, role=role, size=size, bound=bound, why=why, in_use=offered, wait_p99=wait)


def _reason(bound: Bound, role: Role, share: str) -> str:
    match bound:
        case "fixed":
            over = role.most is not None and role.size is not None and role.size > role.most
            unused = f", though its tasks can use only {role.most}" if over else ""
            return f"fixed: size={role.size} was given{unused}"
        case "threads":
            nested = f"{TIMES}{role.nested} connections" if role.nested > 1 else ""
            return f"threads: {role.threads} tasks per process{nested} cannot use more"
        case "deadlock":
            rule = f"{role.threads}{TIMES}({role.nested}{MINUS}1) + 1 = {role.least}"
            return f"deadlock: {rule}, for with fewer the nested checkouts can wait for each other for ever"
        case _:
            return f"{bound}: {share}"
