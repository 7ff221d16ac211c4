"""Sync and async faces are twins: equal once `Async`, `async` and `await` are taken away."""

from __future__ import annotations

import ast
import copy
import re
from typing import TYPE_CHECKING, Any

from tests.architecture.source import Module, modules, public_modules, public_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIX = re.compile(r"\bAsync(?=[A-Z])|\basync_|(?<=\b_)async_")
_RENAMED = {
    "aclose": "close",
    "aenter": "enter",
    "aiter": "iter",
    "anext": "next",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "asynccontextmanager": "contextmanager",
    "StopAsyncIteration": "StopIteration",
    "iscoroutinefunction": "isfunction",
}
_ASYNCIO = {"sleep": "time"} | dict.fromkeys(["Condition", "Event", "Lock", "Semaphore"], "threading")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def plain(name: str) -> str:
    """Return the sync twin's spelling of `name`."""
    return _RENAMED.get(name) or _PREFIX.sub("", name)


class _Plain(ast.NodeTransformer):
    """Takes everything asynchronous, and docstrings, out of a tree."""

    def generic_visit(self, node: ast.AST) -> Any:
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                setattr(node, field, plain(value))
        return super().generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "asyncio" and node.attr in _ASYNCIO:
            node.value.id = _ASYNCIO[node.attr]
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """Take out the alternative of a store that never blocks, which an async face does not await."""
        if isinstance(node.right, ast.Name) and node.right.id.startswith("Nonblocking"):
            return self.visit(node.left)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        """Take out `if …: x = await x`: what a store that never blocks returned needs no awaiting."""
        match node.body:
            case [ast.Assign(targets=[ast.Name(id=name)], value=ast.Await(value=ast.Name(id=same)))]:
                if name == same and not node.orelse:
                    return None
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> Any:
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self.visit_FunctionDef(ast.FunctionDef(**{f: getattr(node, f, None) for f in node._fields}))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> Any:
        return self.generic_visit(ast.For(**{f: getattr(node, f, None) for f in node._fields}))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> Any:
        return self.generic_visit(ast.With(**{f: getattr(node, f, None) for f in node._fields}))

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str):
            node.value = plain(node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        name = getattr(node.value, "id", None) or getattr(node.value, "attr", None)
        if name == "Awaitable":
            return self.visit(node.slice)
        if name == "Coroutine" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[-1])
        if name == "AsyncGenerator" and isinstance(node.slice, ast.Tuple):  # Generator has one argument more
            node.slice.elts.append(ast.Constant(None))
        return self.generic_visit(node)


def stripped(function: Function) -> Function:
    """Return `function` as its sync twin would be written."""
    twin: Function = _Plain().visit(copy.deepcopy(function))
    return ast.fix_missing_locations(twin)


def signature(function: Function) -> str:
    """Return parameters and result of the sync twin as text."""
    twin = stripped(function)
    return f"{twin.name}({ast.unparse(twin.args)})" + (
        f" -> {ast.unparse(twin.returns)}" if twin.returns else ""
    )


def body(function: Function) -> str:
    """Return the statements of the sync twin as text."""
    return "\n".join(ast.unparse(statement) for statement in stripped(function).body)


def _exported(every: list[Module]) -> set[str]:
    return {name for module in public_modules(every) for name in public_names(module)}


def pairs(package: Path) -> Iterator[tuple[str, ast.ClassDef, ast.ClassDef]]:
    """Yield ("block.AsyncName", sync class, async class) for every async class that has a twin.

    That is every public one, and those of a block's modules `_async_x`, the twins of `_x`.
    """
    every = modules(package)
    exported = _exported(every)
    classes: dict[tuple[str, str], ast.ClassDef] = {}
    for module in every:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                classes[_home(module), node.name] = node
                if _is_async_part(module):
                    exported.add(node.name)
    for (home, name), node in classes.items():
        twin = classes.get((home, name.removeprefix("Async")))
        if name.startswith("Async") and name in exported and twin is not None:
            yield f"{home}.{name}", twin, node


def function_pairs(package: Path) -> Iterator[tuple[str, Function, Function]]:
    """Yield ("block.async_name", sync function, async function) for those of a block's modules `_async_x`."""
    functions: dict[tuple[str, str], Function] = {}
    asynchronous: list[tuple[str, Function]] = []
    for module in modules(package):
        for node in module.tree.body:
            if isinstance(node, Function):
                functions[_home(module), node.name] = node
                if _is_async_part(module) and node.name.startswith("async_"):
                    asynchronous.append((_home(module), node))
    for home, node in asynchronous:
        twin = functions.get((home, node.name.removeprefix("async_")))
        if twin is not None:
            yield f"{home}.{node.name}", twin, node


def _is_async_part(module: Module) -> bool:
    return module.block is not None and module.parts[-1].startswith("_async_")


def lonely(package: Path) -> list[str]:
    """Return the public async classes without a sync twin."""
    every = modules(package)
    paired, exported = {name for name, _, _ in pairs(package)}, _exported(every)
    found = {
        f"{_home(module)}.{node.name}"
        for module in every
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Async") and node.name in exported
    }
    return sorted(found - paired)


def _home(module: Module) -> str:
    return module.parts[0] if module.parts else ""


def methods(node: ast.ClassDef) -> dict[str, Function]:
    """Return plain name to method; of overloads the last, which is the implementation."""
    return {plain(item.name): item for item in node.body if isinstance(item, Function)}


def check_twins(package: Path, *, allowed: dict[str, str]) -> list[str]:
    """Return where twins differ.

    `allowed` maps "block.AsyncClass" or "block.AsyncClass.method" to the reason why bodies may differ;
    signatures may never. A private method may live on one side of an allowed class alone.
    """
    problems, unused = [], set(allowed)
    for name, sync, asynchronous in pairs(package):
        ours, theirs = methods(sync), methods(asynchronous)
        for method in sorted(ours.keys() | theirs.keys()):
            entry = f"{name}.{method}"
            excused = name in allowed or entry in allowed
            if method not in ours or method not in theirs:
                if method.startswith("_") and not method.startswith("__") and excused:
                    unused -= {entry, name}
                    continue
                side = "sync" if method not in ours else "async"
                problems.append(f"{entry}: missing on the {side} side")
                continue
            left, right = signature(ours[method]), signature(theirs[method])
            private = method.startswith("_") and not method.startswith("__")
            if left != right and not (private and excused):
                problems.append(f"{entry}: signatures differ\n    sync  {left}\n    async {right}")
            if body(ours[method]) != body(theirs[method]):
                unused -= {entry, name}
                if not excused:
                    problems.append(f"{entry}: bodies differ")
    problems += [
        f"{name}: bodies differ"
        for name, sync_function, async_function in function_pairs(package)
        if body(sync_function) != body(async_function)
    ]
    problems += [f"{entry}: allowed to differ, but does not (any more)" for entry in sorted(unused)]
    return problems
