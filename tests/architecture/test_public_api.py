from __future__ import annotations

import difflib
import importlib

from tests.architecture.api import REGENERATE, SNAPSHOT, check_documented, public_api
from tests.architecture.lazy import check_lazy_tables
from tests.architecture.source import ROOT, SCALEKIT, modules, public_modules, public_names


def test_the_public_api_is_what_was_agreed_to():
    agreed, now = (ROOT / SNAPSHOT).read_text("utf-8"), public_api(SCALEKIT)
    changes = "\n".join(
        difflib.unified_diff(agreed.splitlines(), now.splitlines(), "agreed", "now", lineterm="", n=1)
    )
    assert not changes, f"the public API changed; if that is meant, run\n  {REGENERATE}\n{changes}"


def test_every_public_name_is_documented():
    documentation = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))
    problems = check_documented(SCALEKIT, documentation)
    assert not problems, "\n".join(problems)


def test_lazy_tables_are_consistent():
    problems = check_lazy_tables(SCALEKIT)
    assert not problems, "\n".join(problems)


def test_every_public_name_can_be_imported():
    for module in public_modules(modules(SCALEKIT)):
        imported = importlib.import_module(module.name)
        missing = [name for name in public_names(module) if not hasattr(imported, name)]
        assert missing == [], module.name
        assert set(public_names(module)) <= set(dir(imported)), module.name


PACKAGE = """
    '''A package.'''
    from scalekit._lazy import exports
    __all__ = ["Cache", "one"]
    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from scalekit.cache._sync import Cache as Cache
        from scalekit.cache._sync import one as one
    else:
        __getattr__, __dir__ = exports(__name__, {"_sync": ["Cache", "one"]})
"""
SYNC = """
    class Cache(_Base):
        '''A cache.'''
        size: int = 3
        limit = 4
        _hidden = 5
        def __init__(self, store: Store = None, *, ttl: float = 1.0) -> None:
            self.x = 1
        @property
        def hits(self) -> int:
            '''Count.'''
        async def get(self, key: str, /) -> bytes | None:
            '''Get.'''
        def _private(self): ...
        def test_it(self):
            '''Not called by anybody.'''
    class _Base:
        def shared(self) -> None:
            '''Share.'''
    def one() -> int:
        '''One.'''
"""
FILES = {"__init__.py": "'''Ours.'''\n__all__ = []", "cache/__init__.py": PACKAGE, "cache/_sync.py": SYNC}


def test_the_snapshot_holds_every_public_thing_and_nothing_else(planted):
    assert public_api(planted(FILES)).split("\n") == [
        "",
        "scalekit.cache",
        "  class Cache(_Base)",
        "    def shared(self) -> None",
        "    size: int = 3",
        "    limit = 4",
        "    def __init__(self, store: Store=None, *, ttl: float=1.0) -> None",
        "    @property def hits(self) -> int",
        "    async def get(self, key: str, /) -> bytes | None",
        "  def one() -> int",
        "",
    ]


def test_a_name_exported_twice_is_described_once(planted):
    again = {"pools/__init__.py": PACKAGE.replace("scalekit.cache", "scalekit.pools"), "pools/_sync.py": SYNC}
    again["pools/memory.py"] = "from scalekit.pools._sync import one\n__all__ = ['one']"
    assert public_api(planted(again)).endswith("\nscalekit.pools.memory\n  one: see scalekit.pools\n")


def test_what_is_not_documented_is_found(planted):
    package = planted(FILES)
    assert check_documented(package, "`Cache` and\n```python\nimport one\n```\n") == []
    assert check_documented(package, "`Cache`, `someone` and one") == [
        "scalekit.cache.one is not mentioned in docs/"
    ]
    (package / "cache/_sync.py").write_text("class Cache:\n    def get(self): ...\ndef one(): ...\n")
    assert check_documented(package, "`Cache.get(one)`") == [
        "scalekit.cache.Cache has no docstring",
        "scalekit.cache.Cache.get has no docstring",
        "scalekit.cache.one has no docstring",
    ]


def test_a_wrong_table_is_found(planted):
    def complaints(original: str, changed: str) -> list[str]:
        assert original in PACKAGE
        return check_lazy_tables(planted(FILES | {"cache/__init__.py": PACKAGE.replace(original, changed)}))

    assert complaints("A package", "A package") == []
    assert complaints('["Cache", "one"]\n    TYPE', '["one", "Cache"]\n    TYPE') == [
        "scalekit.cache: __all__ is not sorted, or names something twice"
    ]
    assert complaints('"one"]\n    TYPE', '"one", "two"]\n    TYPE') == [
        "scalekit.cache: two is in __all__ but not exported"
    ]
    assert complaints('__all__ = ["Cache", "one"]', '__all__ = ["Cache"]') == [
        "scalekit.cache: one is exported but not in __all__"
    ]
    assert complaints("        from scalekit.cache._sync import one as one\n", "") == [
        "scalekit.cache: _sync.one is exported but unknown to type checkers"
    ]
    assert complaints('{"_sync": ["Cache", "one"]}', '{"_sync": ["Cache"]}') == [
        "scalekit.cache: one is in __all__ but not exported",
        "scalekit.cache: _sync.one is known to type checkers but not exported",
    ]
    assert complaints('"one"]})', '"one"], "gone": []})') == ["scalekit.cache: there is no gone"]
    assert complaints("__all__", "names") == ["scalekit.cache: no __all__"]
