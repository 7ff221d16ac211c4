"""Optional dependencies: the install line for what is absent, the real error for what is broken."""

from __future__ import annotations

import json
import sys

import pytest

from scalekit._extras import require
from scalekit.errors import MissingExtra


def missing(module):
    with pytest.raises(MissingExtra) as caught:
        require(module, extra="redis", needed_by="RedisCacheStore")
    return caught.value


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A place to install modules to: `site("name", "source")`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, source):
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)

    yield install
    for name in [name for name in sys.modules if name.startswith("specimen")]:
        del sys.modules[name]


def test_an_installed_module_is_returned():
    assert require("json", extra="json", needed_by="Store") is json
    assert require("json.decoder", extra="json", needed_by="Store") is json.decoder


def test_a_missing_module_is_the_line_that_installs_it():
    error = missing("specimen_missing")
    assert str(error) == "RedisCacheStore needs specimen_missing: pip install 'scaleblocks[redis]'"
    assert (error.needed_by, error.module, error.extra) == ("RedisCacheStore", "specimen_missing", "redis")
    assert isinstance(error.__cause__, ModuleNotFoundError)


def test_a_missing_package_is_named_even_where_its_submodule_was_asked_for():
    assert missing("specimen_missing.asyncio.retry").module == "specimen_missing"


def test_a_missing_submodule_of_an_installed_package_is_an_old_installation(site):
    site("specimen_old.__init__", "")
    assert (
        str(missing("specimen_old.new"))
        == "RedisCacheStore needs specimen_old: pip install 'scaleblocks[redis]'"
    )
    assert missing("json.decoder.deeper").module == "json"


def test_a_module_switched_off_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "specimen_off", None)
    assert missing("specimen_off").module == "specimen_off"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import specimen_elsewhere", ModuleNotFoundError),
        ("import specimen_broken_too", ModuleNotFoundError),
        ("from json import absent", ImportError),
        ("from specimen_broken import absent", ImportError),
        ("raise ImportError('libssl.so.3: cannot open shared object file')", ImportError),
        ("raise ModuleNotFoundError('by hand')", ModuleNotFoundError),
        ("raise RuntimeError('at import')", RuntimeError),
        ("1 +", SyntaxError),
    ],
)
def test_an_error_inside_an_installed_module_is_passed_on(site, source, error):
    site("specimen_broken.__init__", source)
    for module in ("specimen_broken", "specimen_broken.sub"):
        with pytest.raises(error) as caught:
            require(module, extra="redis", needed_by="RedisCacheStore")
        assert type(caught.value) is error
