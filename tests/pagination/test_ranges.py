from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scalekit.pagination import SortKey, TotalOrder, ranges
from scalekit.pagination._values import ANY
from tests.pagination.walks import Model, Wish

VALUES = st.none() | st.integers(0, 3)


def holds(rng, row, position):  # noqa: PLR0911  # one line per test
    """Whether `row` lies in the range, read literally from its definition."""
    if row[: rng.equal] != position[: rng.equal]:
        return False
    value, bound = row[rng.equal], position[rng.equal]
    match rng.test:
        case "null":
            return value is None
        case "not_null":
            return value is not None
        case "gt":
            return value is not None and value > bound
        case "ge":
            return value is not None and value >= bound
        case "lt":
            return value is not None and value < bound
        case "le":
            return value is not None and value <= bound


@given(data=st.data(), backward=st.booleans(), inclusive=st.booleans())
def test_ranges_are_exactly_the_rows_beyond_disjoint_and_in_order(data, backward, inclusive):
    size = data.draw(st.integers(1, 4))
    nullable = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    row = st.tuples(*[VALUES if may else st.integers(0, 3) for may in nullable])
    position = data.draw(row)
    rows = data.draw(st.lists(row, max_size=30))
    keys = [
        SortKey(str(at), data.draw(st.booleans()), data.draw(st.booleans()), may, ANY)
        for at, may in enumerate(nullable)
    ]
    found = ranges(TotalOrder(keys), position, backward=backward, inclusive=inclusive)
    model = Model(
        [Wish(at, k.descending, "first" if k.nulls_first else "last") for at, k in enumerate(keys)],
        nulls_largest=True,
    )
    beyond = {*model.beyond(rows, position, backward=backward, inclusive=inclusive)}
    assert len(found) <= 2 * size
    stretches = [[each for each in rows if holds(rng, each, position)] for rng in found]
    assert set().union(*stretches) == beyond
    for at, stretch in enumerate(stretches):
        for later in stretches[at + 1 :]:
            sign = -1 if backward else 1
            assert all(model.compare(one, other) * sign < 0 for one in stretch for other in later)


def test_a_key_that_is_never_null_has_no_null_range():
    order = TotalOrder([SortKey("a", descending=False, nulls_first=False, nullable=False, kind=ANY)])
    assert [rng.test for rng in ranges(order, [1])] == ["gt"]
