"""The stores and serialisers that the documentation shows pass the suites that it shows with them."""

from __future__ import annotations

import pytest

from tests.architecture.source import ROOT
from tests.docs.test_examples import blocks

pytest_plugins = ["pytester"]


@pytest.mark.slow
def test_what_the_page_about_tests_shows_keeps_the_contracts(pytester):
    page = blocks((ROOT / "docs" / "testing.md").read_text("utf-8"))
    pytester.makepyfile("\n".join(source for _, source in page))
    # In a process of its own: one within this would take with it, at its end, the modules that it imported
    # first, and this process would import some a second time, with other classes.
    outcomes = pytester.runpytest_subprocess().parseoutcomes()
    assert outcomes.keys() <= {"passed", "warnings"}
    assert outcomes["passed"] > 60
