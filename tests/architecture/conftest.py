"""Small packages to plant violations in."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def planted(tmp_path: Path) -> Callable[..., Path]:
    """Write a package `scalekit` of the given files: `planted({"cache/_rule.py": "import time"})`."""

    def write(files: dict[str, str]) -> Path:
        package = tmp_path / "scalekit"
        for name, text in {"__init__.py": "", **files}.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return package

    return write
