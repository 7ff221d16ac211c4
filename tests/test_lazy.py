"""Lazy names: found on first touch, ordinary afterwards, and nothing loaded before."""

from __future__ import annotations

import importlib
import sys

import pytest

PACKAGE = "lazy_specimen"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of lazy names, freshly imported; none of its modules is loaded yet."""
    home = tmp_path / PACKAGE
    home.mkdir()
    (home / "__init__.py").write_text(
        "from scalekit._lazy import exports\n"
        "there = 1\n"
        "__getattr__, __dir__ = exports(__name__, {\n"
        "    '_private': ['first', 'second'], 'public': [], 'both': ['third'],\n"
        "    'broken': ['fourth'], 'empty': ['fifth'],\n"
        "})\n"
    )
    (home / "_private.py").write_text("first = object()\nsecond = object()\n")
    (home / "public.py").write_text("inside = 1\n")
    (home / "both.py").write_text("third = 3\n")
    (home / "broken.py").write_text("import a_module_that_is_missing\n")
    (home / "empty.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def loaded():
    return {name.partition(".")[2] for name in sys.modules if name.startswith(f"{PACKAGE}.")}


def test_nothing_is_loaded_before_a_name_is_touched(package):
    assert package.there == 1
    dir(package)
    assert loaded() == set()


def test_a_name_loads_its_own_module_and_no_other(package):
    first = package.first
    assert loaded() == {"_private"}
    assert first is sys.modules[f"{PACKAGE}._private"].first


def test_a_name_is_looked_up_once(package):
    assert "first" not in vars(package)
    first = package.first
    assert vars(package)["first"] is first
    assert "second" not in vars(package)
    del sys.modules[f"{PACKAGE}._private"].first
    assert package.first is first


def test_from_import_finds_names_and_modules(package):
    namespace = {}
    exec(f"from {PACKAGE} import second, public, third", namespace)
    assert namespace["second"] is package.second
    assert namespace["public"].inside == 1
    assert namespace["third"] == 3


def test_a_module_is_found_as_an_attribute(package):
    assert package.public is sys.modules[f"{PACKAGE}.public"]
    assert package.both.third == 3


def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=r"^module 'lazy_specimen' has no attribute 'inside'$"):
        package.inside  # noqa: B018  # the access is the test
    assert not hasattr(package, "__path_that_is_missing__")
    with pytest.raises(ImportError, match="cannot import name 'absent' from 'lazy_specimen'"):
        exec(f"from {PACKAGE} import absent")
    assert loaded() == set()


def test_a_promise_that_its_module_does_not_keep_is_an_error(package):
    with pytest.raises(AttributeError, match="has no attribute 'fifth'"):
        package.fifth  # noqa: B018  # the access is the test


def test_an_import_error_of_the_module_is_passed_on_each_time(package):
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
            package.fourth  # noqa: B018  # the access is the test


def test_dir_lists_the_public_names_in_order(package):
    names = dir(package)
    assert names == sorted(names)
    assert {"first", "second", "third", "there", "public", "__name__"} <= set(names)
    assert not {"_private", "both"} & set(names)
    package.first  # noqa: B018  # the access is the test
    assert dir(package) == sorted({*names, "_private"})
