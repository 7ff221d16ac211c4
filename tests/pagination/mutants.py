"""Cursors that no paginator made: those of `DOORS`, damaged, forged or carried to another door."""

from __future__ import annotations

import base64
import datetime as dt
import math
import random
import string
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from scalekit.pagination import CursorPaginator, SequenceSource, SortKey, TotalOrder
from scalekit.pagination._cursor import LONGEST, Codec
from scalekit.pagination._values import ANY, KINDS
from tests.pagination.toy_cipher import Toy

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHABET = string.ascii_letters + string.digits + "-_"
FOREIGN = "+/=\n\r\t\0 .~%é\u0660\u202e\ud800\U0001f600"
START = dt.datetime(2024, 2, 29, 23, 59, 59, 999_990, tzinfo=dt.UTC)
ROWS = [{"at": START + dt.timedelta(seconds=n // 3), "id": 2**53 + n, "s": f"s{n}"} for n in range(12)]
SOURCE = SequenceSource(ROWS)


class Door(NamedTuple):
    """A paginator, and cursors that it lets in."""

    name: str
    paginator: CursorPaginator
    good: tuple[str, ...]


def _door(name: str, order: list[str], **options: Any) -> Door:
    paginator = CursorPaginator(order, limit=2, **options)
    pages = [paginator.paginate(SOURCE)]
    while pages[-1].next_cursor:
        pages.append(paginator.paginate(SOURCE, cursor=pages[-1].next_cursor))
    found = [cursor for page in pages for cursor in (page.next_cursor, page.previous_cursor) if cursor]
    return Door(name, paginator, tuple(found))


def doors() -> list[Door]:
    """Return paginators none of which may let in a cursor of another one."""
    order = ["-at", "id"]
    timed = {"expires_in": "1h", "wall_clock": lambda: 1.75e9}
    return [
        _door("plain", order, secret="s"),
        _door("another secret", order, secret="t"),
        _door("another direction", ["at", "id"], secret="s"),
        _door("fewer keys", ["id"], secret="s"),
        _door("more keys", [*order, "s"], secret="s"),
        _door("scope", order, secret="s", scope="tenant-7"),
        _door("another scope", order, secret="s", scope="tenant-8"),
        _door("two secrets", order, secret=["new", "old"]),
        _door("expiring", order, secret="s", scope="expiring", **timed),
        _door("encrypted", order, secret="s", scope="encrypted", cipher=Toy()),
    ]


def unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def _forged() -> Iterator[object]:
    """Cursors in form, signed by nobody or by a stranger, with values that hurt elsewhere."""
    keys = [
        SortKey(name, descending, nulls_first=descending, nullable=True, kind=kind)
        for kind in (ANY, KINDS[float])
        for name, descending in (("at", True), ("id", False), ("s", False))
    ]
    values = (math.nan, math.inf, 2**70, -(2**70), 10**400, None, 0, -0.0)
    for secret in ("stranger", "s "):
        for arity in (1, 2, 3):
            for first in (0, 3):
                coder = Codec(secret).bind(TotalOrder(keys[first : first + arity]), None)
                for value in values:
                    try:
                        yield coder.encode([value] * arity, backward=False)
                    except ValueError:  # beyond a double
                        assert first == 3
    for text in (
        "i:2~d:nan",
        '{"id": 18446744073709551616}',
        "[null]",
        "' OR 1=1 --",
        "../../etc/passwd",
        "{}",
    ):
        yield text
        yield unpadded(text.encode())
    for header in range(256):
        yield unpadded(bytes((header,)) * 40)
    yield from (
        "",
        "=",
        "==",
        "\0",
        "None",
        "null",
        "A" * LONGEST,
        "A" * (LONGEST + 1),
        "A" * 2**20,
        "é" * 2**20,
    )
    yield from (0, 1, 2**70, math.nan, True, b"", b"x", [], {}, object(), ("x",))


def _damaged(cursor: str) -> Iterator[str]:
    """Every single damage at every place of one cursor."""
    raw = _raw(cursor)
    for at in range(len(raw)):
        for bit in range(8):
            yield unpadded(raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :])
        yield unpadded(raw[:at])
        yield unpadded(raw[at + 1 :])
        yield unpadded(raw[:at] + b"\0" + raw[at:])
        yield unpadded(raw[:at] + raw[at + 1 :])
    for at in range(len(cursor) + 1):
        yield cursor[:at]
        yield cursor[at:]
        yield cursor[:at] + cursor[at + 1 :]
        yield cursor[: at - 2] + cursor[at - 1 : at] + cursor[at - 2 : at - 1] + cursor[at:]
        for other in FOREIGN + "A_":
            yield cursor[:at] + other + cursor[at:]
            yield cursor[:at] + other + cursor[at + 1 :]
    for other in ALPHABET:
        yield cursor[:-1] + other
        yield cursor + other
    yield from (cursor + "=", cursor + "==", cursor + "\n", cursor + "\r\n", "\ufeff" + cursor, cursor * 2)
    yield from (cursor.swapcase(), cursor[::-1], cursor.translate(str.maketrans("-_", "+/")))
    yield from (cursor + "A" * 2**20, cursor + "\0" * LONGEST, cursor.ljust(LONGEST, "="))


def _spliced(cursors: list[str], rng: random.Random) -> Iterator[str]:
    """Several damages to the bytes at once, well spelled again, for ever."""
    while True:
        raw = bytearray(_raw(rng.choice(cursors)))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw) + 1)
            match rng.randrange(4):
                case 0:
                    raw[at : at + 1] = rng.randbytes(1)
                case 1:
                    raw[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
                case 2:
                    raw[at:] = _raw(rng.choice(cursors))[at:]
                case _:
                    raw[2:-12] = rng.randbytes(rng.randint(0, 30))
        yield unpadded(bytes(raw))


def _misspelled(cursors: list[str], rng: random.Random) -> Iterator[str]:
    """Several damages to the characters at once, for ever."""
    while True:
        characters = list(rng.choice(cursors))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(characters) + 1)
            match rng.randrange(6):
                case 0:
                    characters[at:at] = rng.choice(ALPHABET)
                case 1:
                    del characters[at : at + rng.randint(1, 4)]
                case 2:
                    characters[at : at + 1] = rng.choice(ALPHABET)
                case 3:
                    characters[at:at] = rng.choice(FOREIGN)
                case 4:
                    other = rng.choice(cursors)
                    characters[at:] = other[at:]
                case _:
                    cut = rng.randrange(len(characters) + 1)
                    characters[min(at, cut) : max(at, cut)] = rng.sample(ALPHABET, abs(at - cut) % 60)
        yield "".join(characters)


def mutants(every: list[Door], amount: int, *, seed: int = 7) -> list[object]:
    """Return `amount` different cursors, or more; some of them are good, at one door each."""
    rng = random.Random(seed)
    good = [cursor for door in every for cursor in door.good]
    found: dict[object, object] = {}
    for each in _forged():
        found[repr(each)] = each
    damaged = (cursor for door in every for cursor in _damaged(door.good[0]))
    found.update((cursor, cursor) for cursor in [*good, *damaged])
    spliced, misspelled = _spliced(good, rng), _misspelled(good, rng)
    while len(found) < amount:
        found.update((cursor, cursor) for cursor in [*islice(spliced, 8), next(misspelled)])
    return list(found.values())
