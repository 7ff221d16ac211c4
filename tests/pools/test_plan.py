"""The laws of a plan, and the words it uses."""
# ruff: noqa: RUF001  # its arithmetic is written with real multiplication and minus signs

from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError, OversubscribedPools
from scalekit.pools import FleetPlan, Load, Role, Server, plan_pools
from tests.pools.fleets import fleets, loads, servers

SERVER = Server(max_connections=100, reserved=3, cores=4)
WEB = Role(instances=4, processes=8, threads=4, surge=1)
WORKER = Role(instances=2, processes=4, weight=2)
FLEET = {"web": WEB, "worker": WORKER}
LOAD = Load(rate=400, hold="12ms", cv=1.0, db_cpu="3ms", wait_p99="20ms")


def planned(server, roles, **options):
    try:
        return plan_pools(server, roles, **options)
    except OversubscribedPools:
        return None


def refusal(*args, **options) -> str:
    with pytest.raises(OversubscribedPools) as caught:
        plan_pools(*args, **options)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return str(caught.value)


# --- laws -------------------------------------------------------------------------------------------


@given(servers, fleets, st.integers(0, 9), st.none() | loads)
def test_all_pools_fit_at_once_even_during_a_deploy(server, roles, keep, load):
    plan = planned(server, roles, keep=keep, load=load)
    if plan is None:
        return
    room = server.max_connections - server.reserved - keep
    taken = sum((r.instances + r.surge) * r.processes * plan[name].size for name, r in roles.items())
    assert plan.connections == taken <= room == plan.usable


@given(servers, fleets, st.none() | loads)
def test_every_size_is_deadlock_free_and_no_larger_than_its_tasks(server, roles, load):
    plan = planned(server, roles, load=load)
    for name, role in roles.items() if plan else ():
        size = plan[name].size
        if role.size is not None:
            assert size == role.size
            continue
        assert size >= 1
        if role.threads is not None:
            assert role.threads * (role.nested - 1) + 1 <= size <= role.threads * role.nested


@given(servers, fleets, loads)
def test_a_planned_load_fills_no_pool_and_no_processor_above_80_percent(server, roles, load):
    plan = planned(server, roles, load=load)
    if plan is None:
        return
    weights = sum(role.weight for role in roles.values())
    for name, role in roles.items():
        in_use = load.rate * load.hold * role.weight / weights / (role.instances * role.processes)
        assert plan[name].in_use == pytest.approx(in_use)
        assert in_use <= 0.8 * plan[name].size * (1 + 1e-6)
        knee_may_bind = load.db_cpu is not None and plan[name].bound != "load"
        if load.wait_p99 is not None and not knee_may_bind:
            assert plan[name].wait_p99 <= load.wait_p99 * 1.05
    if load.db_cpu is not None:
        assert load.rate * load.db_cpu <= 0.8 * server.cores * (1 + 1e-6)


@given(servers, fleets)
def test_a_refusal_without_a_load_means_that_the_smallest_pools_do_not_fit(server, roles):
    least = {name: role.size or ((role.threads or 1) * (role.nested - 1) + 1) for name, role in roles.items()}
    taken = sum((r.instances + r.surge) * r.processes * least[name] for name, r in roles.items())
    room = server.max_connections - server.reserved
    assert (planned(server, roles) is None) == (taken > room)


@given(servers, fleets, st.integers(1, 200), st.none() | loads)
def test_no_pool_shrinks_when_the_server_grows(server, roles, more, load):
    before = planned(server, roles, load=load)
    larger = dataclasses.replace(server, max_connections=server.max_connections + more)
    after = planned(larger, roles, load=load)
    if before is None:
        return
    assert after is not None
    assert all(after[name].size >= before[name].size for name in roles)


@given(servers, fleets, st.floats(1, 5), st.data())
def test_no_pool_shrinks_when_its_weight_grows(server, roles, factor, data):
    name = data.draw(st.sampled_from(sorted(roles)))
    before = planned(server, roles)
    heavier = dataclasses.replace(roles[name], weight=roles[name].weight * factor)
    after = planned(server, {**roles, name: heavier})
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after[name].size >= before[name].size


@given(servers, fleets, loads, st.floats(1, 3))
def test_more_load_never_gives_a_smaller_pool(server, roles, load, factor):
    before = planned(server, roles, load=load)
    after = planned(server, roles, load=dataclasses.replace(load, rate=load.rate * factor))
    if before is None:
        assert after is None
    elif after is not None:
        assert all(after[name].size >= before[name].size for name in roles)


@given(servers, fleets)
def test_without_a_load_only_a_step_that_does_not_fit_stops_growth(server, roles):
    plan = planned(server, roles)
    growing = [
        n for n, r in roles.items() if plan and r.size is None and (r.most is None or plan[n].size < r.most)
    ]
    if not growing:
        return
    level = min((plan[n].size + 1) * roles[n].most_processes / roles[n].weight for n in growing)
    rising = [n for n in growing if (plan[n].size + 1) * roles[n].most_processes / roles[n].weight == level]
    assert plan.connections + sum(roles[n].most_processes for n in rising) > plan.usable


@given(servers, fleets, st.none() | loads, st.randoms())
def test_the_order_of_the_roles_changes_nothing(server, roles, load, rng):
    names = list(roles)
    rng.shuffle(names)
    plan = planned(server, roles, load=load)
    shuffled = planned(server, {name: roles[name] for name in names}, load=load)
    assert (plan is None) == (shuffled is None)
    if plan is not None and shuffled is not None:
        assert {name: plan[name].size for name in names} == {name: shuffled[name].size for name in names}


# --- which bound wins -------------------------------------------------------------------------------


def test_the_contract_example():
    plan = plan_pools(SERVER, FLEET, keep=5, load=LOAD)
    assert {name: role.size for name, role in plan.items()} == {"web": 1, "worker": 2}
    explained = (
        "92 usable (100 − 3 reserved − 5 kept)\n"
        "load 400/s × 12 ms = 4.8 in use, from all roles\n"
        "knee 16 = 4 cores × 12 ms / 3 ms, processors 30 % busy\n"
        "web     5 × 8 × 1 = 40  load: 4.17/s × 12 ms = 0.05 in use per process, 5 % utilised, "
        "p99 wait 20.3 ms\n"
        "worker  2 × 4 × 2 = 16  load: 33.3/s × 12 ms = 0.4 in use per process, 20 % utilised, "
        "p99 wait 14.2 ms\n"
        "56 of 92 taken, 36 spare"
    )
    assert plan.explain() == explained
    assert plan["worker"].wait_p99 == pytest.approx(0.01422, rel=1e-3)


def test_a_plan_is_a_mapping_of_names_to_plans():
    plan = plan_pools(SERVER, FLEET, keep=5)
    assert isinstance(plan, FleetPlan)
    assert list(plan) == ["web", "worker"]
    assert len(plan) == 2
    assert "cron" not in plan
    assert plan["web"].name == "web"
    assert plan["web"].role is WEB
    assert plan["worker"].connections == 2 * 4 * plan["worker"].size
    assert repr(plan) == "<FleetPlan web=1 worker=6: 88 of 92>"
    assert plan["web"].sqlalchemy() == plan["web"].config.sqlalchemy()
    assert plan["web"].config.size == plan["web"].size


def test_without_a_load_the_server_is_split_by_weight():
    plan = plan_pools(SERVER, {"a": Role(processes=4, weight=3), "b": Role(processes=4, weight=1)}, keep=1)
    assert (plan["a"].size, plan["b"].size) == (18, 6)
    assert plan["a"].bound == "budget"
    assert plan["a"].why == "budget: its share of 96 at weight 3 of 4"
    assert plan["a"].in_use is None
    assert plan["a"].wait_p99 is None


def test_equal_roles_get_equal_pools():
    plan = plan_pools(
        Server(max_connections=35, reserved=0), {"a": Role(processes=10), "b": Role(processes=10)}
    )
    assert (plan["a"].size, plan["b"].size) == (1, 1)


@pytest.mark.parametrize(
    ("usable", "sizes"), [(23, (1, 1)), (24, (2, 1)), (28, (2, 1)), (34, (3, 1)), (38, (3, 2))]
)
def test_a_step_that_does_not_fit_is_never_overtaken_by_a_later_one(usable, sizes):
    roles = {"a": Role(processes=10, weight=10), "b": Role(processes=4, weight=2.2)}
    plan = plan_pools(Server(max_connections=usable, reserved=0), roles)
    assert (plan["a"].size, plan["b"].size) == sizes


def test_threads_bound_a_sync_role_and_the_others_get_the_rest():
    plan = plan_pools(SERVER, {"web": Role(processes=2, threads=4), "job": Role()}, keep=0)
    assert (plan["web"].size, plan["job"].size) == (4, 89)
    assert plan["web"].why == "threads: 4 tasks per process cannot use more"


def test_nested_checkouts_need_their_connections():
    tight = Server(max_connections=30, reserved=0)
    plan = plan_pools(tight, {"web": Role(processes=4, threads=6, nested=2)})
    assert plan["web"].size == 7
    assert plan["web"].bound == "deadlock"
    assert plan["web"].why.startswith("deadlock: 6 × (2 − 1) + 1 = 7, ")
    wide = plan_pools(SERVER, {"web": Role(processes=4, threads=6, nested=2)})
    assert wide["web"].why == "threads: 6 tasks per process × 2 connections cannot use more"
    assert wide["web"].size == 12
    loaded = plan_pools(
        SERVER, {"web": Role(processes=4, threads=6, nested=2)}, load=Load(rate=1, hold="1ms")
    )
    assert (loaded["web"].size, loaded["web"].bound) == (7, "deadlock")


def test_a_fixed_size_is_kept_and_what_it_wastes_is_said():
    plan = plan_pools(SERVER, {"web": Role(processes=2, threads=4, size=10), "job": Role(size=3)})
    assert plan["web"].size == 10
    assert plan["web"].bound == "fixed"
    assert plan["web"].why == "fixed: size=10 was given, though its tasks can use only 4"
    assert plan["job"].why == "fixed: size=3 was given"
    assert plan_pools(SERVER, {"web": Role(threads=4, size=4)})["web"].why == "fixed: size=4 was given"
    loaded = plan_pools(SERVER, {"web": Role(threads=4, size=5)}, load=Load(rate=300, hold="10ms"))
    assert loaded["web"].wait_p99 == 0.0


def test_a_load_is_shared_by_weight_among_the_processes_between_deploys():
    roles = {"a": Role(instances=2, processes=3, surge=5, weight=3), "b": Role(weight=1)}
    plan = plan_pools(SERVER, roles, load=Load(rate=80, hold="100ms"))
    assert plan["a"].in_use == pytest.approx(1.0)
    assert plan["b"].in_use == pytest.approx(2.0)
    assert (plan["a"].size, plan["b"].size) == (2, 3)
    assert plan["a"].why.startswith("load: 10/s × 100 ms = 1 in use per process, 50 % utilised")


def test_threads_bound_a_load_that_wants_more():
    load = Load(rate=30, hold="100ms", wait_p99="0ms")
    plan = plan_pools(SERVER, {"web": Role(threads=4)}, load=load)
    assert (plan["web"].size, plan["web"].bound, plan["web"].wait_p99) == (4, "threads", 0.0)
    assert plan["web"].why == (
        "threads: 4 tasks per process cannot use more; "
        "30/s × 100 ms = 3 in use per process, 75 % utilised, p99 wait 0 ms"
    )


def test_the_knee_bounds_a_load_that_wants_more():
    load = Load(rate=200, hold="10ms", db_cpu="5ms", wait_p99="1ms")
    plan = plan_pools(SERVER, {"web": Role()}, load=load)
    assert (plan["web"].size, plan["web"].bound) == (7, "load")
    fewer = dataclasses.replace(SERVER, cores=2)
    plan = plan_pools(fewer, {"web": Role()}, load=load)
    assert (plan["web"].size, plan["web"].bound) == (4, "knee")
    assert plan["web"].wait_p99 > 0.001
    assert plan["web"].why == (
        "knee: its share of the 4 connections that keep every processor busy; "
        "the wait asked for would take 7; "
        "200/s × 10 ms = 2 in use per process, 50 % utilised, p99 wait 14.3 ms"
    )


def test_the_knee_is_shared_by_weight():
    load = Load(rate=100, hold="10ms", db_cpu="10ms", wait_p99=0)
    plan = plan_pools(SERVER, {"a": Role(weight=3), "b": Role(weight=1)}, load=load)
    assert [(role.size, role.bound) for role in plan.values()] == [(3, "knee"), (1, "knee")]


def test_a_share_of_the_knee_is_at_least_one_connection():
    roles = {"a": Role(instances=9), "b": Role(instances=9)}
    load = Load(rate=10, hold="10ms", db_cpu="10ms", wait_p99=0)
    plan = plan_pools(SERVER, roles, load=load)
    assert {plan[name].size for name in roles} == {1}


def test_a_load_of_almost_nothing_has_a_plan():
    plan = plan_pools(SERVER, FLEET, load=Load(rate=1e-9, hold="1us", db_cpu=1e-300))
    assert {role.size for role in plan.values()} == {1}
    assert "< 1 % utilised, p99 wait 0 ms" in plan["web"].why


# --- refusals ---------------------------------------------------------------------------------------


def test_an_oversubscribed_fleet_is_told_its_sum():
    fleet = {"web": dataclasses.replace(WEB, size=15), "worker": WORKER}
    assert refusal(SERVER, fleet, keep=5) == (
        "web 5 × 8 × 15 = 600 > 92 usable (100 − 3 reserved − 5 kept): "
        "run fewer or smaller pools, or put a pooler in front"
    )


def test_every_role_that_is_too_large_alone_is_named():
    fleet = {"web": Role(size=98), "job": Role(processes=2, size=50), "cron": Role()}
    text = refusal(SERVER, fleet)
    assert text.startswith(
        "web 1 × 1 × 98 = 98 > 97 usable (100 − 3 reserved − 0 kept); job 1 × 2 × 50 = 100 > 97 usable"
    )
    assert "cron" not in text


def test_roles_that_are_too_large_together_are_summed():
    fleet = {"a": Role(processes=8, size=8), "b": Role(processes=6, size=8)}
    assert refusal(SERVER, fleet).startswith(
        "a 1 × 8 × 8 = 64 + b 1 × 6 × 8 = 48: 112 > 97 usable (100 − 3 reserved − 0 kept): "
    )


def test_a_role_that_just_fits_alone_is_not_blamed_alone():
    text = refusal(SERVER, {"a": Role(size=97), "b": Role()})
    assert text.startswith("a 1 × 1 × 97 = 97 + b 1 × 1 × 1 = 1: 98 > 97 usable")


def test_one_connection_per_process_can_be_too_many_already():
    fleet = {"web": WEB, "worker": WORKER}
    assert plan_pools(Server(max_connections=56), fleet, keep=5).connections == 48
    assert "48 > 47 usable" in refusal(Server(max_connections=55), fleet, keep=5)
    assert "> 1 usable (10 − 3 reserved − 6 kept)" in refusal(Server(max_connections=10), fleet, keep=6)


@pytest.mark.parametrize("keep", [97, 500])
def test_keeping_all_connections_is_blamed_on_keep_and_on_no_role(keep):
    with pytest.raises(ConfigurationError) as caught:
        plan_pools(SERVER, FLEET, keep=keep)
    assert str(caught.value) == (
        f"expected keep < 97, the connections that are there to keep from (100 − 3 reserved); got {keep}"
    )
    assert plan_pools(SERVER, {"web": Role()}, keep=96).usable == 1


def test_a_fixed_role_of_no_weight_brings_no_part_of_the_load():
    load = Load(rate=400, hold="12ms", db_cpu="3ms", wait_p99="20ms")
    alone = plan_pools(SERVER, {"web": Role(processes=4)}, load=load)
    cron = Role(size=2, weight=0)
    both = plan_pools(SERVER, {"web": Role(processes=4), "cron": cron}, load=load)
    assert both["web"] == alone["web"]
    assert (both["cron"].size, both["cron"].in_use, both["cron"].wait_p99) == (2, 0.0, 0.0)
    assert both["cron"].why.startswith("fixed: size=2 was given; weight 0, no part of the load; ")
    assert plan_pools(SERVER, {"web": Role(), "cron": cron})["web"].size == 95
    with pytest.raises(ConfigurationError, match="expected roles with a weight > 0 somewhere"):
        plan_pools(SERVER, {"cron": cron}, load=load)


def test_a_wait_that_is_not_kept_is_said_at_the_top():
    load = Load(rate=200, hold="10ms", db_cpu="5ms", wait_p99="1ms")
    fewer = dataclasses.replace(SERVER, cores=2)
    first, second, *_ = plan_pools(fewer, {"web": Role()}, load=load).explain().splitlines()
    assert first == (
        "the p99 wait asked for, 1 ms, is not kept (web 14.3 ms): the database's processors are the limit;"
        " more cores or less db_cpu would help, more connections would not"
    )
    assert second.startswith("97 usable")
    assert plan_pools(SERVER, {"web": Role()}, load=load).explain().startswith("97 usable")


@given(servers, fleets, loads)
def test_the_top_line_names_exactly_the_roles_that_wait_too_long(server, roles, load):
    plan = planned(server, roles, load=load)
    if plan is None or load.wait_p99 is None:
        return
    late = {name for name in plan if plan[name].wait_p99 > load.wait_p99 * 1.05}
    assert plan.explain().startswith("the p99 wait asked for") == bool(late)
    assert all(f"{name} " in plan.explain().splitlines()[0] for name in late)


def test_the_deadlock_rule_is_part_of_the_sum():
    fleet = {"web": Role(processes=4, threads=6, nested=2)}
    assert plan_pools(Server(max_connections=31), fleet)["web"].size == 7
    assert refusal(Server(max_connections=30), fleet).startswith("web 1 × 4 × 7 = 28 > 27 usable")


def test_a_load_beyond_the_budget_is_refused():
    text = refusal(SERVER, {"web": Role(processes=10)}, keep=5, load=Load(rate=7_900, hold="10ms"))
    assert text == (
        "web 1 × 10 × 10 = 100 > 92 usable (100 − 3 reserved − 5 kept): "
        "the load needs it (7,900/s × 10 ms = 79 in use)"
    )


def test_a_load_that_just_fits_has_no_room_to_breathe():
    text = refusal(SERVER, {"web": Role()}, load=Load(rate=9_700, hold="10ms"))
    assert text.startswith("web 1 × 1 × 122 = 122 > 97 usable")
    text = refusal(SERVER, {"web": Role()}, load=Load(rate=9_710, hold="10ms"))
    assert text.startswith("9,710/s × 10 ms = 97.1 in use > 97 usable")


def test_a_load_beyond_the_threads_is_refused():
    text = refusal(SERVER, {"web": Role(processes=2, threads=4)}, load=Load(rate=700, hold="10ms"))
    assert text == (
        "web: 350/s × 10 ms = 3.5 in use per process, more than 80 % of what 4 threads can hold: "
        "add processes or threads"
    )


def test_a_load_beyond_the_processors_is_refused():
    text = refusal(SERVER, FLEET, load=Load(rate=2_000, hold="12ms", db_cpu="2ms"))
    assert text == "2,000/s × 2 ms of db_cpu = 4 cores busy > 80 % of 4 cores: no pool size helps"
    plan_pools(SERVER, {"web": Role()}, load=Load(rate=1_600, hold="12ms", db_cpu="2ms"))
    # 600 * 0.0008 is 0.48 in theory, and a little more than 0.8 * 0.6 in floating point.
    small = Server(max_connections=100, cores=0.6)
    assert plan_pools(small, {"web": Role()}, load=Load(rate=600, hold=0.001, db_cpu=0.0008))


def test_a_load_beyond_a_fixed_size_is_refused():
    text = refusal(SERVER, {"web": Role(size=4)}, load=Load(rate=500, hold="10ms"))
    assert text == "web is fixed at size=4, but its load needs 7: 500/s × 10 ms = 5 in use per process"
    plan = plan_pools(SERVER, {"web": Role(size=7)}, load=Load(rate=500, hold="10ms"))
    assert plan["web"].bound == "fixed"


def test_an_absurd_load_is_refused_at_once():
    text = refusal(SERVER, {"web": Role()}, load=Load(rate=1e12, hold=1e11, wait_p99=0))
    assert text == (
        "1.0e+12/s × 1.0e+11 s = 1.0e+23 in use > 97 usable (100 − 3 reserved − 0 kept): however it is split"
    )


@pytest.mark.parametrize(
    ("args", "options", "parameter"),
    [
        (("server", FLEET), {}, "server"),
        ((SERVER, {}), {}, "roles"),
        ((SERVER, [WEB]), {}, "roles"),
        ((SERVER, {"": WEB}), {}, "roles"),
        ((SERVER, {1: WEB}), {}, "roles"),
        ((SERVER, {"web": 4}), {}, "roles['web']"),
        ((SERVER, FLEET), {"keep": -1}, "keep"),
        ((SERVER, FLEET), {"keep": True}, "keep"),
        ((SERVER, FLEET), {"load": 400}, "load"),
        ((Server(max_connections=100), FLEET), {"load": LOAD}, "cores"),
    ],
)
def test_bad_arguments_are_refused_by_name(args, options, parameter):
    with pytest.raises(ConfigurationError) as caught:
        plan_pools(*args, **options)
    assert caught.value.parameter == parameter
