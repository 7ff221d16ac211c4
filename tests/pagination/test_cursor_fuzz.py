"""Whatever comes as a cursor and was not made here is an `InvalidCursor`, nothing else, and never let in.

    SCALEKIT_FUZZ=100000 python -m pytest tests/pagination/test_cursor_fuzz.py

tries that many, in place of 40,000, at every door.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from scalekit.errors import InvalidCursor
from tests.pagination.mutants import ROWS, SOURCE, doors, mutants

AMOUNT = max(40_000, int(os.environ.get("SCALEKIT_FUZZ", "0")))
DOORS = doors()


@pytest.fixture(scope="module")
def tried():
    return mutants(DOORS, AMOUNT)


@pytest.mark.timeout(60 + AMOUNT // 500)
@pytest.mark.parametrize("door", DOORS, ids=[door.name for door in DOORS])
def test_nobody_gets_in_with_a_cursor_not_made_there(door, tried):
    accepted, wrong, refused = [], [], 0
    for cursor in tried:
        if cursor in door.good:
            continue
        try:
            door.paginator.paginate(SOURCE, cursor=cursor)
        except InvalidCursor as error:
            refused += 1
            if not error.reason or len(str(error)) > 100:
                wrong.append((cursor, error))
        except Exception as error:
            wrong.append((cursor, error))
        else:
            accepted.append(cursor)
    assert (accepted[:3], len(accepted)) == ([], 0)
    assert (wrong[:3], len(wrong)) == ([], 0)
    assert refused >= AMOUNT - len(door.good)


@pytest.mark.parametrize("door", DOORS, ids=[door.name for door in DOORS])
def test_the_doors_are_not_just_shut(door):
    assert len(door.good) >= 10
    for cursor in door.good:
        assert 1 <= len(door.paginator.paginate(SOURCE, cursor=cursor).items) <= 2
    assert len(list(door.paginator.rows(SOURCE, batch=5))) == len(ROWS)


def test_the_mutants_are_those_of_any_other_run(tried):
    # An encrypted cursor is never made twice the same; all others are.
    once, again = ([repr(each)[:80] for each in mutants(doors()[:-1], 3_000)] for _ in range(2))
    assert [each for each in once if " object at " not in each] == [
        each for each in again if " object at " not in each
    ]
    assert len(tried) >= AMOUNT
    texts = {each for each in tried if isinstance(each, str)}
    assert {cursor for door in DOORS for cursor in door.good} < texts


def test_the_mutants_come_as_far_as_they_can(tried):
    """Many are not merely malformed: their signature is what keeps them out."""
    reasons = Counter(refusal(DOORS[0], cursor) for cursor in tried if cursor not in DOORS[0].good)
    assert reasons["not signed here for this order and scope"] > len(tried) / 3
    assert reasons.keys() >= {"not text", "too long", "malformed", "another version"}


def refusal(door, cursor):
    with pytest.raises(InvalidCursor) as caught:
        door.paginator.paginate(SOURCE, cursor=cursor)
    return caught.value.reason
