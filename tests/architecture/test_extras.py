from __future__ import annotations

import re

import pytest

from tests.architecture.extras import check_requires, refusals, run_without, third_party
from tests.architecture.source import ROOT, SCALEKIT

PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
INSTALL_LINE = r"MissingExtra: \w+ needs \w+: pip install 'scaleblocks\[[a-z]+\]'"

# How each object is made: what it takes does not matter, for without the package there is no such thing.
MADE = {
    "RedisLink": "from scalekit.redis import RedisLink; RedisLink.from_url('redis://127.0.0.1:1')",
    "AsyncRedisLink": "from scalekit.redis import AsyncRedisLink; AsyncRedisLink.from_url('redis://127.0.0.1:1')",
    "PillowBackend": "from scalekit.images.pillow import PillowBackend; PillowBackend()",
}


def test_every_require_names_an_extra_that_helps():
    problems = check_requires(SCALEKIT, PYPROJECT)
    assert not problems, "\n".join(problems)


def test_every_module_can_be_imported_without_its_package_or_says_what_to_install():
    unhelpful = {
        name: error
        for name, error in refusals(SCALEKIT, third_party(SCALEKIT)).items()
        if not re.fullmatch(INSTALL_LINE, error)
    }
    assert unhelpful == {}


@pytest.mark.parametrize("name", MADE)
def test_an_object_without_its_package_says_what_to_install(name):
    source = f"""
try:
    {MADE[name]}
except ImportError as error:
    print(json.dumps(f"{{type(error).__name__}}: {{error}}"))
else:
    print(json.dumps("made"))
"""
    answer = run_without(third_party(SCALEKIT), source)
    assert re.fullmatch(INSTALL_LINE, str(answer)), answer
    assert name in str(answer)


TOML = """
[project]
name = "ours"
[project.optional-dependencies]
redis = ["redis>=5"]
images = ["pillow>=10; python_version >= '3.11'"]
all = ["ours[redis,images]"]
"""


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ("require('redis.asyncio', extra='redis', needed_by='Store')", None),
        ("require('PIL.Image', extra='all', needed_by='Store')", None),
        ("require('redis', extra='images', needed_by='Store')", "does not install redis"),
        ("require('redis', extra='none', needed_by='Store')", "does not install redis"),
        ("require('redis', extra='redis', needed_by='Gone')", "does not exist"),
    ],
)
def test_an_unhelpful_require_is_found(planted, call, complaint):
    problems = check_requires(planted({"cache/redis.py": f"class Store:\n    def f(self): {call}"}), TOML)
    assert len(problems) == (complaint is not None)
    assert all(complaint in problem for problem in problems)


def test_an_import_that_needs_a_package_is_found(planted):
    package = planted({"cache/__init__.py": "", "cache/redis.py": "import redis", "cache/memory.py": ""})
    assert refusals(package, {"redis"}) == {
        "scalekit.cache.redis": "ModuleNotFoundError: No module named 'redis'"
    }
