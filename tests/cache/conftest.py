"""Both faces, for scenarios that are written once."""

from __future__ import annotations

import pytest

from tests.cache.either import Async, Sync


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def either(kind):
    """Makes faces of one kind, and closes them."""
    made = []

    def make(*args, **options):
        made.append(kind(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
