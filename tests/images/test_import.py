from __future__ import annotations

import subprocess
import sys

import scalekit.images

CODE = """
import sys
before = set(sys.modules)
import scalekit.images
heavy = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(heavy & {"asyncio", "redis", "sqlalchemy", "PIL", "concurrent", "dataclasses", "hashlib"}))
from scalekit.images import ImageInfo, ImageLimits, ImageRecipe, negotiate, plan, probe
from scalekit.images.pillow import PillowBackend
print(*sorted({"asyncio", "PIL"} & set(sys.modules)))
"""


def test_the_block_loads_nothing_and_its_rules_need_no_pillow():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout == "\n\n"


def test_every_public_name_is_there():
    for name in scalekit.images.__all__:
        assert getattr(scalekit.images, name).__name__ == name
    assert set(scalekit.images.__all__) <= set(dir(scalekit.images))
