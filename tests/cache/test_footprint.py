"""The estimate of a value's size."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass

import pytest

from scalekit.cache._footprint import _MOST, footprint

BLOB = b"x" * 10_000


@dataclass
class Plain:
    blob: bytes


@dataclass(slots=True)
class Slotted:
    blob: bytes


class OneSlot:
    __slots__ = "blob"  # noqa: PLC0205  # allowed, too

    def __init__(self, blob):
        self.blob = blob


class Child(Slotted):
    pass


class Kept(dict):
    pass


@pytest.mark.parametrize(
    "value",
    [
        BLOB,
        [BLOB],
        (1, (BLOB,)),
        {"k": BLOB},
        {BLOB: 1},
        {BLOB},
        frozenset([BLOB]),
        defaultdict(list, k=[BLOB]),
        Kept(k=BLOB),
        Plain(BLOB),
        Slotted(BLOB),
        OneSlot(BLOB),
        Child(BLOB),
        [BLOB, BLOB],
    ],
)
def test_it_finds_what_a_value_holds_once(value):
    assert len(BLOB) < footprint(value) < len(BLOB) + 1_500


def test_a_circle_ends():
    value = [BLOB]
    value.append(value)
    assert footprint(value) == sys.getsizeof(value) + sys.getsizeof(BLOB)


def test_what_all_share_does_not_count():
    assert footprint([Plain, sys, footprint, print, Plain.__init__, BLOB.decode]) < 300


def test_a_huge_value_is_not_walked_to_its_end():
    value = [[i] for i in range(10 * _MOST)]
    assert footprint(value) < sys.getsizeof(value) + 100 * _MOST
