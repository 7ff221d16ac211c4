"""The plan of a whole fleet: every pool's size, with its reason, or a refusal in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError, OversubscribedPools
from scalekit.pools import _queueing as queueing
from scalekit.pools._budget import Budget, split
from scalekit.pools._load import Load
from scalekit.pools._numbers import count
from scalekit.pools._role import Role
from scalekit.pools._server import Server
from scalekit.pools._sizing import RolePlan, by_budget, by_load
from scalekit.pools._words import MINUS, TIMES, duration, figure, percent, product

if TYPE_CHECKING:
    from typing import NoReturn


class FleetPlan(Mapping[str, RolePlan]):
    """What `plan_pools` returns: role names to their `RolePlan`s, in the order given. Immutable."""

    __slots__ = ("_budget", "_facts", "_roles")

    def __init__(self, budget: Budget, roles: Mapping[str, RolePlan], facts: tuple[str, ...]) -> None:
        self._budget = budget
        self._roles = dict(roles)
        self._facts = facts

    def __getitem__(self, name: str, /) -> RolePlan:
        return self._roles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._roles)

    def __len__(self) -> int:
        return len(self._roles)

    def __repr__(self) -> str:
        sizes = " ".join(f"{name}={plan.size}" for name, plan in self._roles.items())
        return f"<FleetPlan {sizes}: {self.connections} of {self.usable}>"

    @property
    def usable(self) -> int:
        """Connections that the fleet may open: the server's, less the reserved, less the kept."""
        return self._budget.usable

    @property
    def connections(self) -> int:
        """Connections when every pool is full, during a rolling deploy; never above `usable`."""
        return sum(plan.connections for plan in self._roles.values())

    def explain(self) -> str:
        """Return the plan as lines of text: every number with where it comes from.

        Where the knee keeps a pool below what the p99 wait asked for would take, the first line says so.
        """
        width = max(len(name) for name in self._roles)
        sums = {
            name: product(plan.role.instances + plan.role.surge, plan.role.processes, plan.size)
            for name, plan in self._roles.items()
        }
        longest = max(map(len, sums.values()))
        roles = [
            f"{name:<{width}}  {sums[name]:<{longest}}  {plan.why}" for name, plan in self._roles.items()
        ]
        total = f"{self.connections} of {self.usable} taken, {self.usable - self.connections} spare"
        return "\n".join([*self._facts, *roles, total])


def plan_pools(
    server: Server, roles: Mapping[str, Role], *, keep: int = 0, load: Load | None = None
) -> FleetPlan:
    """Plan the connection pools of a fleet so that they fit into `server`, all at once.

    `roles` maps names to `Role`s, each process of which gets a pool of the planned size. `keep`
    connections stay free for people, migrations and monitoring (0 by default). Without `load` the
    server is split by weight. With it every pool gets what its part of the load needs: the smallest
    of what keeps utilisation at 80 % and the p99 wait, what its threads can use, and its share of the
    knee; never below what nested checkouts need to be free of deadlock. Pure: nothing is connected.

    Raises `OversubscribedPools`, with the sum in words, when the pools do not fit even during a
    rolling deploy, or when threads, processors or budget cannot carry the load; it never shrinks a
    pool below its need. Raises `ConfigurationError` for arguments that cannot be.
    """
    budget = _checked(server, roles, keep, load)
    least = {name: role.size or role.least for name, role in roles.items()}
    budget.check(roles, least, "run fewer or smaller pools, or put a pooler in front")
    weights = math.fsum(role.weight for role in roles.values())
    if load is not None and not weights:
        _refuse("roles", roles, "with a weight > 0 somewhere, to carry the load")
    if load is None:
        plans: dict[str, RolePlan] = {}
        for name, size in split(roles, budget.usable).items():
            share = f"its share of {budget.usable} at weight {roles[name].weight:g} of {weights:g}"
            plans[name] = by_budget(name, roles[name], size, share)
        return FleetPlan(budget, plans, (str(budget),))
    in_use = queueing.in_use(load.rate, load.hold)
    needs = f"{figure(load.rate)}/s{TIMES}{duration(load.hold)} = {figure(in_use)} in use"
    if in_use > budget.usable:
        raise OversubscribedPools(f"{needs} > {budget}: however it is split")
    knee = _knee(server, load)
    plans = {name: by_load(name, role, load, role.weight / weights, knee) for name, role in roles.items()}
    budget.check(roles, {name: plan.size for name, plan in plans.items()}, f"the load needs it ({needs})")
    facts = [*_missed(plans.values(), load), str(budget), f"load {needs}, from all roles"]
    if knee is not None and load.db_cpu is not None and server.cores is not None:
        used = load.rate * load.db_cpu / server.cores
        facts.append(
            f"knee {figure(knee)} = {server.cores:g} cores{TIMES}{duration(load.hold)}"
            f" / {duration(load.db_cpu)}, processors {percent(used)} busy"
        )
    return FleetPlan(budget, plans, tuple(facts))


def _missed(plans: Iterable[RolePlan], load: Load) -> Iterator[str]:
    """Yield the line that says whose waits are longer than asked for, if any are."""
    asked = load.wait_p99
    if asked is None:
        return
    waits = [(plan.name, plan.wait_p99) for plan in plans if plan.wait_p99 is not None]
    late = [f"{name} {duration(wait)}" for name, wait in waits if not queueing.keeps(wait, asked)]
    if late:
        yield (
            f"the p99 wait asked for, {duration(asked)}, is not kept ({', '.join(late)}): the database's"
            " processors are the limit; more cores or less db_cpu would help, more connections would not"
        )


def _checked(server: Server, roles: Mapping[str, Role], keep: int, load: Load | None) -> Budget:
    if not isinstance(server, Server):
        _refuse("server", server, "as a Server")
    if not isinstance(roles, Mapping) or not roles:
        _refuse("roles", roles, "as a mapping of at least one name to a Role")
    for name, role in roles.items():
        if not isinstance(name, str) or not name:
            _refuse("roles", name, "as a mapping with non-empty text as names")
        if not isinstance(role, Role):
            _refuse(f"roles[{name!r}]", role, "as a Role")
    if load is not None and not isinstance(load, Load):
        _refuse("load", load, "as a Load")
    # Else every role would be told that it is too large for a server with nothing left.
    room = server.max_connections - server.reserved
    if count(keep, "keep", least=0) >= room:
        less = f"{server.max_connections}{MINUS}{server.reserved} reserved"
        _refuse("keep", keep, f"< {room}, the connections that are there to keep from ({less})")
    return Budget(server, keep)


def _refuse(parameter: str, value: object, expected: str) -> NoReturn:
    raise ConfigurationError(parameter, value, expected)


def _knee(server: Server, load: Load) -> float | None:
    """Return the knee where it can be known; raise when the processors cannot carry the load."""
    if load.db_cpu is None:
        return None
    if server.cores is None:
        raise ConfigurationError("cores", None, "as a number > 0 on the Server, since the Load gives db_cpu")
    busy = load.rate * load.db_cpu
    if busy > queueing.MOST_UTILISED * server.cores * (1 + 1e-9):
        raise OversubscribedPools(
            f"{figure(load.rate)}/s{TIMES}{duration(load.db_cpu)} of db_cpu = {figure(busy)} cores busy"
            f" > 80 % of {server.cores:g} cores: no pool size helps"
        )
    return queueing.knee(server.cores, load.hold, load.db_cpu)
