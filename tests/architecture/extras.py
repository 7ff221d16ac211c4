"""Optional dependencies: what `require` is asked for, and what happens without them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from tests.architecture.source import ROOT, definitions, modules, public_modules, requires, strings

if TYPE_CHECKING:
    from pathlib import Path

# Where the package that is installed and the module that is imported have different names.
_INSTALLED_AS = {"PIL": "pillow", "backports": "backports.zstd"}

# Refuses what was named on the command line, as if it were not installed.
WITHOUT = """
import importlib, json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
absent = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Absent())
"""


def third_party(package: Path) -> set[str]:
    """Return the top-level modules that are required anywhere in the package."""
    return {
        text.partition(".")[0]
        for module in modules(package)
        for call in requires(module)
        for text in strings(call.args[0])
    }


def installs(pyproject: str) -> dict[str, set[str]]:
    """Return extra to what it installs, as names of distributions, extras of ours followed."""
    project = tomllib.loads(pyproject)["project"]
    table = project["optional-dependencies"]

    def names(extra: str) -> set[str]:
        found = set()
        for line in table[extra]:
            name, inner = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()  # type: ignore[union-attr]
            found |= (
                set().union(*(names(e) for e in inner.split(",")))
                if name == project["name"]
                else {name.lower()}
            )
        return found

    return {extra: names(extra) for extra in table}


def check_requires(package: Path, pyproject: str) -> list[str]:
    """Return the calls of `require` that would print a line that does not help."""
    offered = installs(pyproject)
    every = modules(package)
    known = {name for module in every for name in definitions(module)}
    problems = []
    for module in every:
        for call in requires(module):
            where = f"{module.name}:{call.lineno}"
            keywords = {keyword.arg: keyword.value for keyword in call.keywords}
            for extra in strings(keywords["extra"]):
                for text in strings(call.args[0]):
                    top = text.partition(".")[0]
                    if _INSTALLED_AS.get(top, top) not in offered.get(extra, set()):
                        problems.append(f"{where}: the extra {extra!r} does not install {top}")
            needed_by = keywords["needed_by"]
            if isinstance(needed_by, ast.Constant) and str(needed_by.value).partition(".")[0] not in known:
                problems.append(f"{where}: needed by {needed_by.value!r}, which does not exist")
    return problems


def run_without(absent: set[str], source: str, *, path: Path | None = None) -> object:
    """Run `source` in a Python that lacks the modules `absent`; what it prints as JSON."""
    options = ["-c", WITHOUT + source, json.dumps(sorted(absent)), str(path or "")]
    done = subprocess.run(
        [sys.executable, *options], capture_output=True, text=True, check=False, cwd=ROOT, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


IMPORTING = """
import importlib
if sys.argv[2]: sys.path.insert(0, sys.argv[2])
answers = {}
for name in NAMES:
    try:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            getattr(module, public)
    except ImportError as error:
        answers[name] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
"""


def refusals(package: Path, absent: set[str]) -> dict[str, str]:
    """Return public module to error where `absent` is needed; `testing` may need its tools."""
    public = public_modules(modules(package))
    names = [module.name for module in public if module.parts[:1] != ("testing",)]
    source = IMPORTING.replace("NAMES", repr(names))
    answers = run_without(absent, source, path=package.parent)
    assert isinstance(answers, dict)
    return answers
