"""The connection pools of a small fleet, and what an oversubscribed one is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scalekit.errors import OversubscribedPools
from scalekit.pools import Load, Role, Server, plan_pools

if TYPE_CHECKING:
    from _quickstart.step import Step


def fleet(step: Step) -> None:
    server = Server(max_connections=100, reserved=3, cores=4)
    roles = {
        "web": Role(instances=4, processes=8, threads=4, surge=1),
        "worker": Role(instances=2, processes=4, weight=2),
    }
    load = Load(rate=400, hold="12ms", db_cpu="3ms", wait_p99="20ms")
    plan = plan_pools(server, roles, keep=5, load=load)

    for name, role in plan.items():
        note = f"per process, {role.connections} in all"
        step.show(name, f"{role.size}", note, **{name: role.size})
    step.show("together", f"{plan.connections}", f"of {plan.usable} usable", connections=plan.connections)
    within = 5 * 8 * plan["web"].size + 2 * 4 * plan["worker"].size <= 100 - 3 - 5
    step.check("the pools fit, even during a rolling deploy", holds=within)

    told = "nothing"
    try:
        plan_pools(server, {**roles, "web": replace(roles["web"], size=15)}, keep=5)
    except OversubscribedPools as error:
        told = str(error)
    arithmetic, _, advice = told.partition(": ")
    step.show("15 each are told", "", arithmetic, told=told)
    step.show("", "", advice)
    step.check("an oversubscribed fleet is refused with its sum", holds="= 600 > 92 usable" in told)
