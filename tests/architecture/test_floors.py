from __future__ import annotations

import pytest

from tests.architecture.floors import check_floors
from tests.architecture.source import SCALEKIT, modules

LONGEST_FILE = 300

# Rules that may do more than decide, each with the reason. Keep it short.
IMPURE: dict[str, str] = {
    "cache._flight": "one load for many callers: waiting for another thread is its whole purpose",
    "cache._async_flight": "the same for tasks",
    "cache._background": "threads that load behind the callers' backs are its whole purpose",
    "cache._async_background": "the same in tasks",
    "cache._warming": "several loads at a time",
    "cache._async_warming": "the same in tasks",
    "cache._settled": "a cancelled task waits for the command it sent",
    "cache._pending": "a queue that threads share",
    "cache._chance": "chance itself",
    "cache._unseen": "the log of what no caller sees, which threads share",
    "ratelimit._concurrency": "a face",
    "ratelimit._async_concurrency": "the other one",
    "ratelimit._penalty": "bans that threads share, kept by the limiter itself",
    "ratelimit._turn": "waiting is its whole purpose",
    "ratelimit._async_turn": "the same for tasks",
    "ratelimit._renewals": "a thread beside the callers is its whole purpose",
    "ratelimit._async_renewals": "the same in tasks",
    "ratelimit._memory_concurrency": "a store: its callers are threads",
    "ratelimit._clocks": "what tells a limiter the time",
    "cache._exclusive": "one call at a time in what lives in memory: a lock is its whole purpose",
}


def test_every_module_keeps_to_its_floor():
    problems = check_floors(SCALEKIT, impure=IMPURE)
    assert not problems, "\n".join(problems)


def test_no_file_is_long():
    lengths = {module.name: module.path.read_text("utf-8").count("\n") for module in modules(SCALEKIT)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


GROUND = {"errors.py": "", "_lazy.py": ""}


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"strange.py": ""}, "no floor"),
        (
            {"errors.py": "import scalekit.cache", "cache/__init__.py": ""},
            "floor 0 may not reach up to floor 4",
        ),
        ({"errors.py": "def f():\n    from scalekit import cache", "cache/__init__.py": ""}, "reach up"),
        ({"errors.py": "import numpy"}, "no third-party package"),
        ({"cache/_rule.py": "import time"}, "reads no clock"),
        ({"cache/_rule.py": "from threading import Lock"}, "takes no lock"),
        ({"cache/_rule.py": "import redis"}, "no third-party package"),
        ({"cache/_rule.py": "require('redis.asyncio', extra='redis')"}, "no third-party package"),
        (
            {"cache/_rule.py": "from scalekit.redis import L", "redis/__init__.py": "L = 1"},
            "rules know no server",
        ),
        (
            {"cache/_rule.py": "from scalekit.sqlalchemy._run import R", "sqlalchemy/_run.py": "R = 1"},
            "rules know no server",
        ),
        ({"sqlalchemy/_run.py": "from scalekit.cache import _r", "cache/_r.py": ""}, "floor 1"),
        ({"sqlalchemy/_run.py": "import sqlalchemy, redis"}, "at most one third-party package"),
        (
            {"cache/_rule.py": "from scalekit.cache.memory import M", "cache/memory.py": "M = 1"},
            "reach up to floor 2",
        ),
        (
            {"cache/memory.py": "from scalekit.cache import _sync", "cache/_sync.py": ""},
            "reach up to floor 3",
        ),
        (
            {"cache/memory.py": "from scalekit.cache.tiered import T", "cache/tiered.py": "T = 1"},
            "on floor 2",
        ),
        ({"cache/memory.py": "import redis, sqlalchemy"}, "at most one third-party package"),
        ({"cache/_sync.py": "import redis"}, "no third-party package"),
        ({"cache/_sync.py": "from .. import ratelimit", "ratelimit/__init__.py": ""}, "blocks never import"),
        (
            {"cache/_rule.py": "from scalekit.pools._rule import R", "pools/_rule.py": "R = 1"},
            "blocks never import",
        ),
        ({"cache/_sync.py": "from scalekit.testing import C", "testing/__init__.py": "C = 1"}, "for tests"),
        ({"redis/_sync.py": "from scalekit.cache import _r", "cache/_r.py": ""}, "floor 1"),
        ({"testing/suite.py": "import requests"}, "imports requests"),
    ],
)
def test_a_violation_is_found(planted, files, complaint):
    problems = check_floors(planted(GROUND | {"cache/__init__.py": ""} | files))
    assert any(complaint in problem for problem in problems), problems


def test_what_the_table_allows_is_no_violation(planted):
    allowed = {
        "__init__.py": "from scalekit._lazy import exports",
        "cache/__init__.py": "from scalekit._lazy import exports",
        "cache/_rule.py": """
            from typing import TYPE_CHECKING
            from scalekit.errors import E
            if TYPE_CHECKING:
                import redis
                from scalekit.ratelimit import Limit
                from scalekit.cache._sync import Cache
        """,
        "cache/redis.py": """
            from scalekit.redis import RedisLink
            from scalekit.cache._rule import R
            def make():
                import redis
        """,
        "cache/sql/__init__.py": "from scalekit.cache.sql._table import T",
        "cache/sql/_table.py": "import sqlalchemy\nrequire('greenlet', extra='sqlalchemy')",
        "cache/_sync.py": "import time\nfrom scalekit.cache.redis import R",
        "redis/__init__.py": "import redis",
        "ratelimit/__init__.py": "",
        "testing/suite.py": "import pytest\nfrom scalekit import cache",
    }
    assert check_floors(planted(GROUND | allowed)) == []


def test_an_excused_rule_must_exist(planted):
    package = planted(GROUND | {"cache/__init__.py": "", "cache/_rule.py": "import time"})
    assert check_floors(package, impure={"cache._rule": "because"}) == []
    assert check_floors(package, impure={"cache._rule": "because", "cache._gone": "once"}) == [
        "cache._gone is excused as impure but does not exist"
    ]
