"""The public API as text: every public name with its signature, read from the source.

`python -m tests.architecture.api` prints it; `public_api.txt` holds what was last agreed to.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

from tests.architecture.source import SCALEKIT, Module, modules, public_modules, public_names, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SNAPSHOT = "tests/architecture/public_api.txt"
REGENERATE = f"python -m tests.architecture.api > {SNAPSHOT}"
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
# Of the dunders those that a caller's syntax uses; of a suite not its tests, which are many and not called.
_PUBLIC_METHOD = re.compile(
    r"(?!_|test_)\w+"
    r"|__(init|call|enter|exit|aenter|aexit|iter|aiter|next|anext|getitem|len|bool|contains)__"
)


def public_api(package: Path) -> str:
    """Return one section per public module."""
    every = modules(package)
    lines: list[str] = []
    described: dict[str, dict[str, str]] = {}
    for module in public_modules(every):
        names = public_names(module)
        if module.parts and names:
            lines += ["", module.name]
        elif names:
            lines.append(module.name)
        for name in sorted(names):
            home, node = resolve(every, module, name)
            if name in described.setdefault(home.name, {}):
                lines.append(f"  {name}: see {described[home.name][name]}")
                continue
            described[home.name][name] = module.name
            if node is None:
                lines.append(f"  {name}: a module")
            else:
                lines += [f"  {line}" for line in _described(name, node, home, every)]
    return "\n".join(lines) + "\n"


def _described(name: str, node: ast.stmt, home: Module, every: list[Module]) -> Iterator[str]:
    match node:
        case ast.ClassDef():
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            decorators = "".join(f"@{ast.unparse(d)} " for d in node.decorator_list)
            yield f"{decorators}class {name}({bases})" if bases else f"{decorators}class {name}"
            for member in dict.fromkeys(_members(node, home, every)):  # bases may have one in common
                yield f"  {member}"
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield _function(node)
        case ast.AnnAssign():
            yield f"{name}: {ast.unparse(node.annotation)}"
        case _:
            yield name


def _members(node: ast.ClassDef, home: Module, every: list[Module]) -> Iterator[str]:
    exported = {name for module in public_modules(every) for name in public_names(module)}
    for base in node.bases:  # what an internal base brings is public as well
        if isinstance(base, ast.Name) and base.id not in exported:
            source, found = resolve(every, home, base.id)
            if isinstance(found, ast.ClassDef):
                yield from _members(found, source, every)
    for item in node.body:
        match item:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if _PUBLIC_METHOD.fullmatch(item.name):
                    kinds = [ast.unparse(decorator) for decorator in item.decorator_list]
                    yield "".join(f"@{kind} " for kind in kinds) + _function(item)
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                default = f" = {ast.unparse(item.value)}" if item.value else ""
                yield f"{name}: {ast.unparse(item.annotation)}{default}"
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                yield f"{name} = {ast.unparse(item.value)}"


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind} {node.name}({ast.unparse(node.args)}){result}"


def check_documented(package: Path, documentation: str) -> list[str]:
    """Return public names without a docstring, or that no code in the Markdown `documentation` mentions."""
    every = modules(package)
    mentioned = set(re.findall(r"\w+", " ".join(_CODE.findall(documentation))))
    problems, seen = [], set()
    for module in public_modules(every):
        if ast.get_docstring(module.tree) is None:
            problems.append(f"{module.name} has no docstring")
        for name in public_names(module):
            home, node = resolve(every, module, name)
            if name.startswith("__") or (home.name, name) in seen:
                continue
            seen.add((home.name, name))
            problems += [f"{module.name}.{what}" for what in _undocumented(name, node)]
            if name not in mentioned:
                problems.append(f"{module.name}.{name} is not mentioned in docs/")
    return problems


def _undocumented(name: str, node: ast.stmt | None) -> Iterator[str]:
    if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    if ast.get_docstring(node) is None:
        yield f"{name} has no docstring"
    if isinstance(node, ast.ClassDef):
        for item in definitions_of(node):
            if not item.name.startswith("_") and ast.get_docstring(item) is None:
                yield f"{name}.{item.name} has no docstring"


def definitions_of(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the methods of a class, overloads and property setters left out."""
    return [
        item
        for item in node.body
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not any(ast.unparse(d).endswith(("overload", ".setter")) for d in item.decorator_list)
    ]


if __name__ == "__main__":
    sys.stdout.write(public_api(SCALEKIT))
