"""Bad numbers are refused at construction, by name."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta

import pytest

from scalekit.errors import ConfigurationError
from scalekit.pools import Load, PoolConfig, Role, Server

BAD = [
    (Server, {"max_connections": 0}, "max_connections", ">= 1"),
    (Server, {"max_connections": True}, "max_connections", "as an integer >= 1"),
    (Server, {"max_connections": 100.0}, "max_connections", "as an integer >= 1"),
    (Server, {"max_connections": 1_000_001}, "max_connections", "<= 1000000"),
    (Server, {"max_connections": 100, "reserved": -1}, "reserved", ">= 0"),
    (Server, {"max_connections": 3}, "reserved", "< max_connections = 3"),
    (Server, {"max_connections": 100, "cores": 0}, "cores", "> 0"),
    (Server, {"max_connections": 100, "cores": True}, "cores", "as a number"),
    (Role, {"instances": 0}, "instances", ">= 1"),
    (Role, {"processes": "8"}, "processes", "as an integer >= 1"),
    (Role, {"threads": 0}, "threads", ">= 1"),
    (Role, {"surge": -1}, "surge", ">= 0"),
    (Role, {"weight": 0}, "weight", "> 0"),
    (Role, {"weight": -1, "size": 1}, "weight", ">= 0"),
    (Role, {"weight": math.nan}, "weight", "as a number > 0"),
    (Role, {"weight": math.inf}, "weight", "<= 1e+12"),
    (Role, {"weight": "heavy"}, "weight", "as a number"),
    (Role, {"nested": 0}, "nested", ">= 1"),
    (Role, {"nested": 2}, "threads", "as an integer >= 1 when nested > 1"),
    (Role, {"size": 0}, "size", ">= 1"),
    (
        Role,
        {"threads": 4, "nested": 2, "size": 4},
        "size",
        ">= 5: 4 tasks of 2 connections each can deadlock",
    ),
    (Load, {"rate": 0, "hold": 1}, "rate", "> 0"),
    (Load, {"rate": 1, "hold": "soon"}, "hold", "as a duration"),
    (Load, {"rate": 1, "hold": 0}, "hold", "> 0 seconds"),
    (Load, {"rate": 1, "hold": 1, "cv": -0.1}, "cv", ">= 0"),
    (Load, {"rate": 1, "hold": 1, "db_cpu": 0}, "db_cpu", "> 0 seconds"),
    (Load, {"rate": 1, "hold": "1ms", "db_cpu": "2ms"}, "db_cpu", "<= hold = 1 ms"),
    (Load, {"rate": 1, "hold": 1, "wait_p99": -1}, "wait_p99", ">= 0 seconds"),
    (PoolConfig, {"size": 0}, "size", ">= 1"),
    (PoolConfig, {"size": 5, "timeout": 0}, "timeout", "> 0 seconds"),
    (PoolConfig, {"size": 5, "max_lifetime": math.inf}, "max_lifetime", "as a duration"),
]


@pytest.mark.parametrize(("make", "options", "parameter", "expected"), BAD)
def test_bad_input_is_refused_with_the_name_of_the_parameter(make, options, parameter, expected):
    with pytest.raises(ConfigurationError) as caught:
        make(**options)
    assert caught.value.parameter == parameter
    assert expected in caught.value.expected


@pytest.mark.parametrize("make", [Server, Role, Load, PoolConfig])
def test_everything_is_keyword_only(make):
    with pytest.raises(TypeError, match="positional"):
        make(10)


def test_durations_are_kept_as_seconds():
    load = Load(rate=400, hold="12ms", db_cpu=timedelta(milliseconds=3), wait_p99=0.02)
    assert (load.rate, load.hold, load.cv, load.db_cpu, load.wait_p99) == (400.0, 0.012, 1.0, 0.003, 0.02)
    config = PoolConfig(size=10, timeout="2s", max_lifetime="30m")
    assert (config.timeout, config.max_lifetime) == (2.0, 1_800.0)
    assert config == PoolConfig(size=10)


def test_values_are_frozen_and_replaceable():
    config = dataclasses.replace(PoolConfig(size=10), timeout="250ms")
    assert config == PoolConfig(size=10, timeout=0.25)
    load = dataclasses.replace(Load(rate=1, hold="1s", wait_p99=0), rate=2)
    assert load == Load(rate=2, hold="1s", wait_p99="0s")
    for value, name in [
        (config, "size"),
        (load, "rate"),
        (Role(), "size"),
        (Server(max_connections=9), "cores"),
    ]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 7)


def test_the_largest_numbers_pass():
    assert Server(max_connections=1_000_000, cores=1e12).max_connections == 1_000_000


def test_least_and_most_follow_the_deadlock_rule():
    assert (Role().least, Role().most) == (1, None)
    assert (Role(threads=4).least, Role(threads=4).most) == (1, 4)
    assert (Role(threads=4, nested=3).least, Role(threads=4, nested=3).most) == (9, 12)
    assert (Role(threads=1, nested=2).least, Role(threads=1, nested=2).most) == (2, 2)


def test_surge_counts_towards_the_most_processes_only():
    role = Role(instances=4, processes=8, surge=1)
    assert (role.steady_processes, role.most_processes) == (32, 40)
