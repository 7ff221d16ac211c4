"""Cursors that end: by an injected clock, to the second, across workers and through restarts."""

from __future__ import annotations

import base64
import datetime as dt
import time

import pytest

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, SequenceSource
from scalekit.testing import ManualClock

SOURCE = SequenceSource([{"a": n} for n in range(30)])


class WallClock:
    """A clock that can be wrong, as wall clocks are."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return WallClock(1_750_000_000.0)


def feed(clock, expires_in="15m", **options):
    return CursorPaginator(
        ["a"], secret="s", limit=3, **{"expires_in": expires_in, "wall_clock": clock, **options}
    )


def first_cursor(paginator):
    return paginator.paginate(SOURCE).next_cursor


def numbers(page):
    return [row["a"] for row in page.items]


@pytest.mark.parametrize("expires_in", ["15m", 900, 900.0, dt.timedelta(minutes=15)])
def test_a_cursor_lives_for_its_time(clock, expires_in):
    mine = feed(clock, expires_in)
    cursor = first_cursor(mine)
    clock.now += 899.999
    assert numbers(mine.paginate(SOURCE, cursor=cursor)) == [3, 4, 5]
    for later in (0.001, 1, 10**9):
        clock.now += later
        with pytest.raises(InvalidCursor) as caught:
            mine.paginate(SOURCE, cursor=cursor)
        assert caught.value.reason == "expired"


def test_one_made_within_a_second_lives_no_shorter_and_at_most_a_second_longer(clock):
    clock.now += 0.25
    made = clock.now
    mine = feed(clock, 0.5)
    cursor = first_cursor(mine)
    for age in (0, 0.499, 1.249):
        clock.now = made + age
        assert numbers(mine.paginate(SOURCE, cursor=cursor)) == [3, 4, 5]
    clock.now = made + 1.5
    with pytest.raises(InvalidCursor, match="expired"):
        mine.paginate(SOURCE, cursor=cursor)


def test_a_page_gives_cursors_of_a_new_time(clock):
    mine = feed(clock)
    cursor = first_cursor(mine)
    for page in range(1, 9):
        clock.now += 600
        found = mine.paginate(SOURCE, cursor=cursor)
        assert numbers(found) == [3 * page, 3 * page + 1, 3 * page + 2]
        cursor = found.next_cursor
        assert numbers(mine.paginate(SOURCE, cursor=found.previous_cursor))[0] == 3 * page - 3


def test_clocks_may_differ_by_a_minute_and_no_more(clock):
    ahead = WallClock(clock.now + 60)
    cursor = first_cursor(feed(ahead))
    assert numbers(feed(clock).paginate(SOURCE, cursor=cursor)) == [3, 4, 5]
    ahead.now += 1
    with pytest.raises(InvalidCursor) as caught:
        feed(clock).paginate(SOURCE, cursor=first_cursor(feed(ahead)))
    assert caught.value.reason == "made in the future"


def test_switching_it_on_refuses_what_would_never_end(clock):
    endless = first_cursor(feed(clock, None))
    with pytest.raises(InvalidCursor) as caught:
        feed(clock).paginate(SOURCE, cursor=endless)
    assert caught.value.reason == "made without an expiry"


def test_switching_it_off_breaks_no_client(clock):
    cursor = first_cursor(feed(clock))
    off = feed(clock, None)
    for now in (clock.now, clock.now + 10**6, clock.now - 10**6):
        clock.now = now
        assert numbers(off.paginate(SOURCE, cursor=cursor)) == [3, 4, 5]


def test_the_time_that_counts_is_the_readers(clock):
    cursor = first_cursor(feed(clock, "1h"))
    clock.now += 120
    with pytest.raises(InvalidCursor, match="expired"):
        feed(clock, "1m").paginate(SOURCE, cursor=cursor)
    assert numbers(feed(clock, "7d").paginate(SOURCE, cursor=cursor)) == [3, 4, 5]


def test_the_time_is_signed_and_so_is_that_there_is_one(clock):
    mine, off = feed(clock), feed(clock, None)
    raw = base64.urlsafe_b64decode(first_cursor(mine) + "==")
    clock.now += 10**6
    forged = [raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :] for at in range(7) for bit in range(8)]
    forged.append(bytes((raw[0] & ~4,)) + raw[1:2] + raw[7:])
    forged.append(raw[:2] + int(clock.now).to_bytes(5, "big") + raw[7:])
    for each in forged:
        cursor = base64.urlsafe_b64encode(each).decode().rstrip("=")
        for paginator in (mine, off):
            with pytest.raises(InvalidCursor, match=r"not signed here|another version"):
                paginator.paginate(SOURCE, cursor=cursor)


def test_a_cut_off_time_is_invalid(clock):
    from tests.pagination.test_cursor import signed

    mine = feed(clock)
    coder = mine._rules.coder(SOURCE.order(mine._rules.order), None)
    for rest in (b"", b"\0", b"\0\0\0\0\0", int(clock.now).to_bytes(5, "big")):
        with pytest.raises(InvalidCursor):
            coder.decode(signed(coder, rest))


def test_a_time_costs_five_bytes_and_only_where_asked_for(clock):
    lengths = [len(first_cursor(feed(clock, expires_in))) for expires_in in (None, "15m")]
    assert lengths[1] - lengths[0] <= 7
    assert first_cursor(feed(clock, None)) == first_cursor(CursorPaginator(["a"], secret="s", limit=3))


@pytest.mark.parametrize("now", [0.0, 2**31, 2**32, 2.0**40 - 2])
def test_any_time_fits(now):
    mine = feed(WallClock(now))
    assert numbers(mine.paginate(SOURCE, cursor=first_cursor(mine))) == [3, 4, 5]


@pytest.mark.parametrize("now", [-1.0, 2.0**40, float("nan"), float("inf"), float("-inf")])
def test_a_broken_clock_is_no_eternal_life(clock, now):
    mine = feed(clock)
    cursor = first_cursor(mine)
    clock.now = now
    with pytest.raises(ConfigurationError, match="wall_clock to give seconds of the epoch"):
        mine.paginate(SOURCE, cursor=cursor)
    with pytest.raises(ConfigurationError, match="wall_clock to give seconds of the epoch"):
        mine.paginate(SOURCE)


def test_a_walk_under_way_does_not_expire(clock):
    mine = feed(clock, "1m")
    seen = []
    for page in mine.pages(SOURCE, batch=7):
        seen += numbers(page)
        clock.now += 3600
    assert seen == list(range(30))
    cursor = first_cursor(mine)
    clock.now += 59
    walk = mine.rows(SOURCE, batch=7, cursor=cursor)
    assert next(walk)["a"] == 3
    clock.now += 3600
    assert [row["a"] for row in walk] == list(range(4, 30))


def test_a_walk_does_not_begin_with_an_expired_cursor(clock):
    mine = feed(clock, "1m")
    cursor = first_cursor(mine)
    clock.now += 60
    for walk in (mine.pages(SOURCE, cursor=cursor), mine.rows(SOURCE, cursor=cursor)):
        with pytest.raises(InvalidCursor, match="expired"):
            next(walk)


@pytest.mark.anyio
async def test_the_async_face_does_the_same(clock):
    from tests.pagination.test_faces import AsyncSequence

    source = AsyncSequence([{"a": n} for n in range(30)])
    mine = AsyncCursorPaginator(["a"], secret="s", limit=3, expires_in="1m", wall_clock=clock)
    cursor = (await mine.paginate(source)).next_cursor
    assert cursor == first_cursor(feed(clock, "1m"))
    seen = []
    async for page in mine.pages(source, cursor=cursor, batch=4):
        seen += numbers(page)
        clock.now += 3600
    assert seen == list(range(3, 30))
    with pytest.raises(InvalidCursor, match="expired"):
        await mine.paginate(source, cursor=cursor)


def test_the_clock_of_tests_serves(clock):
    manual = ManualClock()
    mine = feed(manual)
    cursor = first_cursor(mine)
    manual.advance("14m")
    assert numbers(mine.paginate(SOURCE, cursor=cursor)) == [3, 4, 5]
    manual.advance("1m")
    with pytest.raises(InvalidCursor, match="expired"):
        mine.paginate(SOURCE, cursor=cursor)


def test_by_default_it_is_the_time_of_day():
    mine = CursorPaginator(["a"], secret="s", limit=3, expires_in="1h")
    before = time.time()
    raw = base64.urlsafe_b64decode(first_cursor(mine) + "==")
    assert before <= int.from_bytes(raw[2:7], "big") <= time.time() + 1


@pytest.mark.parametrize("face", [CursorPaginator, AsyncCursorPaginator])
@pytest.mark.parametrize("expires_in", [0, -1, "soon", "", float("nan"), float("inf"), True, [], 1e12])
def test_a_bad_expiry_is_refused(face, expires_in):
    with pytest.raises(ConfigurationError, match="expected expires_in"):
        face(["a"], secret="s", expires_in=expires_in)


@pytest.mark.parametrize("face", [CursorPaginator, AsyncCursorPaginator])
@pytest.mark.parametrize("expires_in", [None, "1h"])
def test_a_bad_clock_is_refused(face, expires_in):
    for wall_clock in (None, 3.0):
        with pytest.raises(ConfigurationError, match="wall_clock to be a function"):
            face(["a"], secret="s", expires_in=expires_in, wall_clock=wall_clock)
