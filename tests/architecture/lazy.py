"""The tables in every `__init__.py` that say what is exported lazily."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.architecture.source import Module, assigned, definitions, imports, modules

if TYPE_CHECKING:
    from pathlib import Path


def table_of(module: Module) -> dict[str, list[str]] | None:
    """Return the table given to `exports`, or None where there is none."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "exports" and len(node.args) == 2:
            return dict(ast.literal_eval(node.args[1]))
    return None


def check_lazy_tables(package: Path) -> list[str]:
    """Return where `__all__`, the imports for type checkers and the table of a package disagree."""
    every = modules(package)
    names = {module.name for module in every}
    problems = []
    for module in (module for module in every if module.is_package):
        table = table_of(module)
        listed_node = assigned(module.tree, "__all__")
        if table is None:
            if imports(module, only_types=True):
                problems.append(f"{module.name}: imports for types without a table")
            continue
        if listed_node is None:
            problems.append(f"{module.name}: no __all__")
            continue
        listed = list(ast.literal_eval(listed_node))
        if listed != sorted(set(listed)):
            problems.append(f"{module.name}: __all__ is not sorted, or names something twice")
        problems += _differences(module, set(listed), table, names)
    return problems


def _differences(
    module: Module, listed: set[str], table: dict[str, list[str]], modules_known: set[str]
) -> list[str]:
    typed = {
        (found.module.removeprefix(module.name).lstrip("."), name)
        for found in imports(module, only_types=True)
        for name in found.names
        if found.module != module.name
    }
    typed_modules = {
        name
        for found in imports(module, only_types=True)
        if found.module == module.name
        for name in found.names
    }
    lazy = {(source, name) for source, defined in table.items() for name in defined}
    own = set(definitions(module)) | {name for f in imports(module) for name in f.names if name != "exports"}
    exported = {name for _, name in lazy} | (listed & (own | typed_modules | table.keys()))
    where = module.name
    return [
        *(f"{where}: {name} is in __all__ but not exported" for name in sorted(listed - exported)),
        *(
            f"{where}: {name} is exported but not in __all__"
            for name in sorted({n for _, n in lazy} - listed)
        ),
        *(f"{where}: {s}.{n} is exported but unknown to type checkers" for s, n in sorted(lazy - typed)),
        *(f"{where}: {s}.{n} is known to type checkers but not exported" for s, n in sorted(typed - lazy)),
        *(f"{where}: there is no {s}" for s in sorted(table) if f"{where}.{s}" not in modules_known),
    ]
