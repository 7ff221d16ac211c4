from __future__ import annotations

import pytest

from scalekit.pagination import SequenceSource
from scalekit.testing import PageSourceSuite


class Awaited(SequenceSource):
    """A sequence behind an async face."""

    async def fetch(self, window, /):
        return super().fetch(window)

    async def slice(self, offset, limit, /):
        return super().slice(offset, limit)

    async def count(self, at_most, /):
        return super().count(at_most)


class TestSequenceSource(PageSourceSuite):
    @pytest.fixture
    def make_source(self):
        return SequenceSource


class TestAsyncSource(PageSourceSuite):
    @pytest.fixture
    def make_source(self):
        async def make(rows):
            return Awaited(rows)

        return make
