from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.import_time import BUDGETS, over_budget
from tests.architecture.source import BLOCKS, SCALEKIT

LOADED = """
import importlib, json, sys
sys.path.insert(0, sys.argv[2])
before = set(sys.modules)
module = importlib.import_module(sys.argv[1])
for name in sys.argv[3:] or module.__all__:
    if sys.argv[1] != "scalekit" and not name.startswith("Async"):
        getattr(module, name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(name, *touched, path=SCALEKIT.parent):
    """Return what importing `name` and touching its sync names (or `touched`) loads."""
    command = [sys.executable, "-I", "-c", LOADED, name, str(path), *touched]
    return set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def unwanted(modules):
    foreign = {
        name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names | {"scalekit"}
    }
    return foreign | modules & {"asyncio"}


def test_scalekit_loads_nothing():
    modules = loaded("scalekit")
    assert {name for name in modules if name.startswith("scalekit")} == {"scalekit", "scalekit._lazy"}
    assert unwanted(modules) == set()
    assert modules.isdisjoint({"typing", "dataclasses", "re", "logging", "inspect"})


@pytest.mark.parametrize("block", [*BLOCKS, "redis"])
def test_a_block_loads_neither_third_party_modules_nor_asyncio(block):
    assert unwanted(loaded(f"scalekit.{block}")) == set()


def test_the_manual_clock_loads_no_test_tool():
    assert unwanted(loaded("scalekit.testing", "ManualClock")) == set()


def test_an_unwanted_import_is_found(planted):
    package = planted({"__init__.py": "__all__ = ()", "cache.py": "import asyncio, sqlalchemy\n__all__ = ()"})
    assert {"asyncio", "sqlalchemy"} <= unwanted(loaded("scalekit.cache", path=package.parent))


def test_the_import_budget_has_teeth():
    assert over_budget(dict.fromkeys(BUDGETS, 5.0)) == []
    assert over_budget({"scalekit": 9.9}, slowness=2.0) == []
    assert over_budget({"scalekit": 10.1}, slowness=2.0) != []
    assert over_budget({"scalekit": 5.1, "scalekit.cache": 25.1, "scalekit.pools": 24.9}) == [
        "import scalekit: 5.1 ms, the budget is 5 ms",
        "import scalekit.cache: 25.1 ms, the budget is 25 ms",
    ]
