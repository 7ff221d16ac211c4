"""The connections that the server has for the fleet, and who may take how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from scalekit.errors import OversubscribedPools
from scalekit.pools._words import MINUS, product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalekit.pools._role import Role
    from scalekit.pools._server import Server


@dataclass(frozen=True, slots=True)
class Budget:
    """A server's connections less the reserved ones less `keep` for people, migrations and monitoring."""

    server: Server
    keep: int

    @property
    def usable(self) -> int:
        """Connections that the fleet may open, rolling deploys included."""
        return self.server.max_connections - self.server.reserved - self.keep

    def __str__(self) -> str:
        terms = [f"{self.server.max_connections}", f"{self.server.reserved} reserved", f"{self.keep} kept"]
        return f"{self.usable} usable ({MINUS.join(terms)})"

    def check(self, roles: Mapping[str, Role], sizes: Mapping[str, int], remedy: str) -> None:
        """Raise `OversubscribedPools`, in words that end with `remedy`, unless all pools fit at once."""
        needed = {name: role.most_processes * sizes[name] for name, role in roles.items()}
        total = sum(needed.values())
        if total <= self.usable:
            return
        alone = [name for name in needed if needed[name] > self.usable]
        sums = {
            name: f"{name} {product(role.instances + role.surge, role.processes, sizes[name])}"
            for name, role in roles.items()
        }
        if alone:
            complaint = "; ".join(f"{sums[name]} > {self}" for name in alone)
        else:
            complaint = f"{' + '.join(sums.values())}: {total} > {self}"
        raise OversubscribedPools(f"{complaint}: {remedy}")


def split(roles: Mapping[str, Role], usable: int) -> dict[str, int]:
    """Return the size of each role's pools such that all fit into `usable` and grow by weight.

    Water-filling: a common level rises, and a role's pools stand at level * weight / processes, rounded
    down, between the role's least and most. The level stops at the first step that does not fit, even
    if a smaller one would: so no role ever shrinks because the server grew.
    """
    sizes = {name: role.size or role.least for name, role in roles.items()}
    spare = usable - sum(role.most_processes * sizes[name] for name, role in roles.items())

    def next_step(name: str) -> tuple[float, str]:
        return (sizes[name] + 1) * roles[name].most_processes / roles[name].weight, name

    steps = [next_step(name) for name in roles if _can_grow(roles[name], sizes[name])]
    heapify(steps)
    while steps:
        level = steps[0][0]
        rising: list[str] = []
        while steps and steps[0][0] == level:  # equal roles get equal pools: all of them rise, or none
            rising.append(heappop(steps)[1])
        spare -= sum(roles[name].most_processes for name in rising)
        if spare < 0:
            break
        for name in rising:
            sizes[name] += 1
            if _can_grow(roles[name], sizes[name]):
                heappush(steps, next_step(name))
    return sizes


def _can_grow(role: Role, size: int) -> bool:
    return role.size is None and (role.most is None or size < role.most)
