"""A cursor that is refused costs the database nothing: no statement, not even a BEGIN."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import StaticPool

from scalekit.errors import InvalidCursor
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, Total
from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource
from scalekit.testing import ManualClock
from tests.pagination.models import Item
from tests.pagination.mutants import doors, mutants
from tests.pagination.toy_cipher import Toy

CLOCK = ManualClock()
ORDER = ["-b", "s"]
OPTIONS = {
    "plain": {},
    "expiring": {"expires_in": "1m", "wall_clock": CLOCK},
    "encrypted": {"cipher": Toy()},
    "two secrets": {"secret": ["s", "old"]},
}
OTHERS = [
    CursorPaginator(ORDER, secret="stranger", limit=3),
    CursorPaginator(ORDER, secret="s", scope="another", limit=3),
    CursorPaginator(["b", "s"], secret="s", limit=3),
    CursorPaginator(["-b"], secret="s", limit=3),
]


def refused(feed, source):
    """Refused cursors of every kind: mutants, those made elsewhere for the same rows, and an expired one."""
    found = mutants(doors(), 20_000)[::10]
    found += [other.paginate(source).next_cursor for other in OTHERS]
    good = feed.paginate(source).next_cursor
    return [*found, good + "\n", good[:-1], good.lower(), good + "="], good


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_refused_cursor_sends_nothing(session, items, statements, options):
    feed = CursorPaginator(ORDER, limit=3, **{"secret": "s", **options})
    source = SelectSource(session, select(Item))
    cursors, good = refused(feed, source)
    session.commit()
    statements.clear()
    begun = []
    event.listen(session, "after_begin", lambda *_: begun.append(1))
    for cursor in cursors:
        with pytest.raises(InvalidCursor):
            feed.paginate(source, cursor=cursor, total=Total.exact())
        for walk in (feed.pages, feed.rows):
            with pytest.raises(InvalidCursor):
                next(walk(source, cursor=cursor))
    CLOCK.advance("1m")
    if "expires_in" in options:
        with pytest.raises(InvalidCursor, match="expired"):
            feed.paginate(source, cursor=good)
    assert (statements, begun) == ([], [])
    if "expires_in" not in options:
        feed.paginate(source, cursor=good)
        assert (len(statements), begun) == (1, [1])


@pytest.mark.anyio
async def test_a_refused_cursor_sends_nothing_awaited():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    connected = []
    event.listen(engine.sync_engine, "connect", lambda *_: connected.append(1))
    feed = AsyncCursorPaginator(ORDER, secret="s")
    async with AsyncSession(engine) as session:
        source = AsyncSelectSource(session, select(Item))
        for cursor in mutants(doors(), 20_000)[::10]:
            with pytest.raises(InvalidCursor):
                await feed.paginate(source, cursor=cursor, total=Total.exact())
            with pytest.raises(InvalidCursor):
                await anext(feed.pages(source, cursor=cursor))
    assert connected == []
    await engine.dispose()
