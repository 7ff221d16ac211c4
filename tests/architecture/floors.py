"""Which module may import which: the table of CONTRIBUTING."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.architecture.source import BLOCKS, Import, Module, imports, modules

if TYPE_CHECKING:
    from pathlib import Path

GROUND = ("errors", "events", "_time", "_lazy", "_extras", "_breaker")
FACES = ("_sync", "_async")
# What the stores on one kind of server share.
SERVERS = {("redis",), ("sqlalchemy",)}
# A rule decides; what reads clocks, waits, locks or talks belongs in a face or a store.
IMPURE = frozenset(
    {"asyncio", "concurrent", "logging", "multiprocessing", "os", "random", "select", "signal", "socket"}
    | {"subprocess", "tempfile", "threading", "time"}
)
# Suites and fault wrappers are tests: they may use a test's tools, and every block.
TEST_TOOLS = frozenset({"pytest", "hypothesis", "anyio"})
# Packages that another one runs on: who asks for them depends on that one, and on nothing more.
CARRIERS = {"greenlet": "sqlalchemy"}


def floor(module: Module) -> int | None:  # noqa: PLR0911  # a table, one line per row
    """Return the floor of `module`, None where the table has no place for it; `testing` stands beside."""
    match module.parts:
        case ():
            return 5
        case (name,) if name in GROUND:
            return 0
        case ("redis" | "sqlalchemy", *_):
            return 1
        case (block,) if block in BLOCKS:
            return 4
        case (block, name) if block in BLOCKS and name in FACES:
            return 3
        case (block, name, *_) if block in BLOCKS and (name.startswith("_") or name == "protocols"):
            return 1
        case (block, *_) if block in BLOCKS:
            return 2
    return None


def is_rule(module: Module) -> bool:
    """Tell whether `module` is a block's own floor 1, which must be pure."""
    return module.block is not None and floor(module) == 1


def check_floors(package: Path, *, impure: dict[str, str] | None = None) -> list[str]:
    """Return the violations; `impure` maps "block.module" to the reason why it may read clocks or lock."""
    every = modules(package)
    known = {module.name: module for module in every}
    allowed_impure = impure or {}
    problems = []
    for module in every:
        if module.parts[:1] == ("testing",):
            problems += _third_party_problems(module, package.name, tools=TEST_TOOLS)
            continue
        if floor(module) is None:
            problems.append(f"{module.name}: no floor of the table has a place for this module")
            continue
        for found in imports(module):
            for target in _targets(found, known):
                if why := _refusal(module, target):
                    problems.append(f"{module.name}:{found.line} imports {target.name}: {why}")
        problems += _third_party_problems(module, package.name)
        if is_rule(module) and ".".join(module.parts) not in allowed_impure:
            problems += [
                f"{module.name}:{found.line} imports {found.module}: a rule reads no clock, takes no lock"
                for found in imports(module)
                if found.module.partition(".")[0] in IMPURE
            ]
    impure_modules = {".".join(module.parts) for module in every}
    problems += [
        f"{name} is excused as impure but does not exist" for name in allowed_impure.keys() - impure_modules
    ]
    return problems


def _targets(found: Import, known: dict[str, Module]) -> list[Module]:
    """Return our modules that an import reaches: `from package import submodule` reaches the submodule."""
    submodules = [
        known[f"{found.module}.{name}"] for name in found.names if f"{found.module}.{name}" in known
    ]
    if submodules and len(submodules) == len(found.names):
        return submodules
    return [known[found.module], *submodules] if found.module in known else submodules


def _refusal(module: Module, target: Module) -> str | None:
    own, other = floor(module), floor(target)
    if other is None:
        return "that is for tests" if target.parts[:1] == ("testing",) else "it has no floor"
    assert own is not None
    if module.block and target.block and module.block != target.block:
        return "blocks never import each other"
    if is_rule(module) and target.parts[:1] in SERVERS:
        return "rules know no server"
    if own == other:
        same_house = module.parts[:1] == target.parts[:1]
        together = own != 2 or module.parts[:2] == target.parts[:2]  # a store does not know the other stores
        return None if own == 0 or (same_house and together) else f"both are on floor {own}"
    return f"floor {own} may not reach up to floor {other}" if other > own else None


def _third_party_problems(module: Module, own: str, *, tools: frozenset[str] = frozenset()) -> list[str]:
    level = floor(module)
    found = {found.module.partition(".")[0]: found.line for found in imports(module) if found.module}
    foreign = sorted({CARRIERS.get(name, name) for name in found} - sys.stdlib_module_names - tools - {own})
    allowed = 1 if level == 2 or module.parts[:1] in SERVERS else 0
    if tools or len(foreign) <= allowed:
        return [f"{module.name} imports {name}" for name in foreign] if tools else []
    limit = "at most one third-party package" if allowed else "no third-party package"
    return [f"{module.name} imports {', '.join(foreign)}: {limit} here"]
