"""Every Python example of the README and the documentation runs, file by file, in reading order.

The blocks of one file share one namespace and run in the root of the repository. `await` may stand at the
top of a block, as in `python -m asyncio`. The addresses below stand for the servers of this test run.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.architecture.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

REDIS = "redis://localhost:6379/0"
POSTGRES = "postgresql+psycopg://localhost/app"
_FENCE = re.compile(r"^```python\b[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

DOCUMENTS = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if _FENCE.search(path.read_text("utf-8"))
]


def blocks(text: str) -> list[tuple[int, str]]:
    """Return the number of the line before each Python block, and the block."""
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in _FENCE.finditer(text)]


def run(path: Path, replaced: dict[str, str]) -> None:
    """Run the blocks of `path`; a failure shows the file's own line."""
    # A module, for dataclasses and serialisers look up the module of a class by its name.
    module = ModuleType(f"_example_{path.stem.replace('-', '_')}")
    sys.modules[module.__name__] = module
    try:
        with asyncio.Runner() as runner:
            for line, source in blocks(path.read_text("utf-8")):
                padded = "\n" * line + source
                for address, ours in replaced.items():
                    padded = padded.replace(address, ours)
                code = compile(padded, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                result = eval(code, vars(module))
                if inspect.iscoroutine(result):
                    runner.run(result)
    finally:
        del sys.modules[module.__name__]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_examples_run(path, request, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text("utf-8")
    servers = {REDIS: "redis_url", POSTGRES: "postgres_url"}
    run(
        path, {address: request.getfixturevalue(name) for address, name in servers.items() if address in text}
    )


def test_examples_share_names_await_and_fail_with_their_line(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "# Page\n```python\nx = 1\n```\ntext\n"
        "```python title='b'\nimport asyncio\nx += await asyncio.sleep(0, 1)\n"
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    n: int\n```\n```sh\nnot python\n```\n"
        "```python\nassert x == 2 and C(1).n == 1\nassert 'here' == 'there'\n```\n"
    )
    with pytest.raises(AssertionError) as caught:
        run(path, {"there": "nowhere"})
    assert caught.traceback[-1].lineno + 1 == 19


def test_an_address_is_replaced_by_the_servers_own(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"```python\nassert {REDIS!r} == 'redis://ours'\n```\n")
    run(path, {REDIS: "redis://ours"})
