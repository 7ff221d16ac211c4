"""The conformance suite of page sources.

    class TestMySource(PageSourceSuite):
        @pytest.fixture
        def make_source(self):
            def make(rows):
                return MySource(rows)

            return make

It runs sync and async sources alike, and compares each answer with a model that sorts a list. `make` is
given rows as mappings: `id` (a unique int), `a` (an int or None), `b` (an int) and `s` (text or None), in no
order. It returns a source over exactly those rows, which may take the place of those it was given before.
It may be a coroutine function; its fixture then takes the fixture `run`, to close what was opened:

            yield make
            run(engine.dispose)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from scalekit.testing._driver import Driver
from scalekit.testing._page_probe import PageProbe
from scalekit.testing._page_walks import WalkTests
from scalekit.testing._page_windows import WindowTests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PageSourceSuite"]


class PageSourceSuite(WindowTests, WalkTests):
    """Subclass it with a `make_source` fixture; every test proves a clause of `PageSource`.

    The orders asked for are of names and end in `id`, with `append_key=False`; one test asks for less, and
    takes a `ConfigurationError` as an answer. What is optional, `slice` of `OffsetSource`, is proven where
    the source has it. Override `id_of` where an item has its `id` elsewhere than in a key or an attribute.
    """

    @pytest.fixture
    def make_source(self) -> Callable[[list[dict[str, Any]]], Any]:
        """Return a callable that makes the source under test over the rows given; override it."""
        raise NotImplementedError("a PageSourceSuite needs a fixture named make_source")

    def id_of(self, item: Any) -> int:
        """Return the `id` of an item that the source gave."""
        found: int = cast("Any", item)["id"] if isinstance(item, Mapping) else item.id
        return found

    @pytest.fixture
    def run(self) -> Iterator[Callable[..., Any]]:
        """Return what calls and awaits in the suite's event loop, as `run(engine.dispose)` at the end."""
        with Driver() as driver:
            yield driver

    @pytest.fixture(autouse=True)
    def _running(self, run: Driver, make_source: Callable[..., Any]) -> None:
        self._probe = PageProbe(run, make_source, self.id_of)
