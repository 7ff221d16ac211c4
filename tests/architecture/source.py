"""A package read as syntax trees, without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCALEKIT = ROOT / "src" / "scalekit"
BLOCKS = ("cache", "images", "pagination", "pools", "ratelimit")


@dataclass(frozen=True)
class Module:
    """One file: its dotted `name` and its `parts` below the package (`()` for the package itself)."""

    name: str
    parts: tuple[str, ...]
    path: Path
    tree: ast.Module
    is_package: bool

    @property
    def block(self) -> str | None:
        return self.parts[0] if self.parts and self.parts[0] in BLOCKS else None


@dataclass(frozen=True)
class Import:
    """An import of `module` (absolute); `names` are what `from` took, empty for a plain import."""

    module: str
    names: tuple[str, ...]
    line: int


def modules(package: Path) -> list[Module]:
    """Read every module of the package in the folder `package`; scalekit itself only once."""
    return _scalekit() if package == SCALEKIT else _read(package)


@cache
def _scalekit() -> list[Module]:
    return _read(SCALEKIT)


def _read(package: Path) -> list[Module]:
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        parts = parts[:-1] if is_package else parts
        name = ".".join((package.name, *parts))
        found.append(Module(name, parts, path, ast.parse(path.read_text("utf-8"), str(path)), is_package))
    return found


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether `node` is an `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and (
        (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
        or (isinstance(node.test, ast.Attribute) and node.test.attr == "TYPE_CHECKING")
    )


def _reached(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """Walk what runs: all but the bodies of `if TYPE_CHECKING`."""
    for node in nodes:
        if is_type_checking(node):
            assert isinstance(node, ast.If)
            yield from _reached(node.orelse)
            continue
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _reached([child])  # type: ignore[list-item]


def imports(module: Module, *, only_types: bool = False) -> list[Import]:
    """Return the imports that run, at any depth, `require("…")` among them; or those for types only."""
    if only_types:
        walk = [child for node in ast.walk(module.tree) if is_type_checking(node) for child in node.body]  # type: ignore[attr-defined]
    else:
        walk = list(_reached(module.tree.body))
    found = []
    for node in walk:
        if isinstance(node, ast.Import):
            found += [Import(alias.name, (), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(Import(_absolute(module, node), names, node.lineno))
        elif _is_require(node):
            assert isinstance(node, ast.Call)
            found += [Import(text, (), node.lineno) for text in strings(node.args[0])]
    return found


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = module.name.split(".")
    base = base[: len(base) - node.level + module.is_package]
    return ".".join((*base, *filter(None, [node.module])))


def _is_require(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) == "require" and bool(node.args)


def requires(module: Module) -> list[ast.Call]:
    """Return the calls of `require` in `module`."""
    return [node for node in ast.walk(module.tree) if _is_require(node) and isinstance(node, ast.Call)]


def strings(node: ast.AST) -> list[str]:
    """Return the text constants below `node`."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """Return what is assigned to `name` at the top of a module."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return getattr(node, "value", None)
    return None


def public_names(module: Module) -> list[str]:
    """Return `__all__`, or, of a module without it, what it defines without an underscore."""
    listed = assigned(module.tree, "__all__")
    if listed is not None:
        return list(ast.literal_eval(listed))
    defined = definitions(module).items()
    return [name for name, node in defined if not name.startswith("_") and not _is_type_variable(node)]


def _is_type_variable(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and getattr(value.func, "id", None) in {"TypeVar", "ParamSpec"}


def definitions(module: Module) -> dict[str, ast.stmt]:
    """Return name to statement of everything the module defines (not imports) at its top."""
    found: dict[str, ast.stmt] = {}
    for node in module.tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def public_modules(every: list[Module]) -> list[Module]:
    """Return the modules whose path has no underscore, their packages included."""
    return [module for module in every if not any(part.startswith("_") for part in module.parts)]


def resolve(every: list[Module], module: Module, name: str) -> tuple[Module, ast.stmt | None]:
    """Find the statement that defines `name`, following the imports that re-export it."""
    by_name = {other.name: other for other in every}
    while name not in definitions(module):
        source = next(
            (
                found.module
                for found in imports(module, only_types=True) + imports(module)
                if name in found.names
            ),
            None,
        )
        if source is None or source not in by_name or by_name[source] is module:
            return module, None
        module = by_name[source]
    return module, definitions(module)[name]
