"""Hypothesis strategies for servers, roles and loads of every shape."""

from __future__ import annotations

from hypothesis import strategies as st

from scalekit.pools import Load, Role, Server

weights = st.sampled_from([0.1, 0.5, 1, 1, 2, 3, 10]) | st.floats(1e-3, 1e3)


@st.composite
def roles(draw: st.DrawFn) -> Role:
    threads = draw(st.none() | st.integers(1, 8))
    role = Role(
        instances=draw(st.integers(1, 4)),
        processes=draw(st.integers(1, 6)),
        threads=threads,
        weight=draw(weights),
        surge=draw(st.integers(0, 3)),
        nested=1 if threads is None else draw(st.sampled_from([1, 1, 2, 3])),
    )
    fixed = draw(st.none() | st.none() | st.integers(role.least, role.least + 10))
    if fixed is None:
        return role
    return Role(
        instances=role.instances,
        processes=role.processes,
        threads=role.threads,
        weight=role.weight,
        surge=role.surge,
        nested=role.nested,
        size=fixed,
    )


fleets = st.dictionaries(st.sampled_from(["web", "worker", "cron", "api"]), roles(), min_size=1, max_size=4)
servers = st.builds(
    Server,
    max_connections=st.integers(20, 600),
    reserved=st.integers(0, 10),
    cores=st.floats(0.5, 64) | st.integers(1, 64),
)


@st.composite
def loads_of(draw: st.DrawFn) -> Load:
    hold = draw(st.floats(1e-4, 0.2))
    return Load(
        rate=draw(st.floats(0.1, 5_000)),
        hold=hold,
        cv=draw(st.floats(0, 4)),
        db_cpu=draw(st.none() | st.floats(1e-5, min(hold, 0.05))),
        wait_p99=draw(st.none() | st.floats(0, 0.1)),
    )


loads = loads_of()
