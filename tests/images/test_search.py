from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scalekit.images import Jpeg, Webp
from scalekit.images._search import no_larger


@given(st.integers(1, 100), st.integers(0, 400), st.integers(0, 3))
def test_the_best_quality_that_fits(quality, ceiling, floor):
    asked = []

    def encode(encoding):
        asked.append(encoding.quality)
        return bytes(floor + 3 * encoding.quality)

    found = no_larger(encode, Jpeg(quality, progressive=False), ceiling=ceiling)
    assert found.encodes == len(asked) <= 8
    assert len(set(asked)) == len(asked)
    assert found.data == bytes(floor + 3 * found.encoding.quality)
    assert found.encoding.progressive is False
    possible = [q for q in range(1, quality + 1) if floor + 3 * q <= ceiling]
    assert found.reached is bool(possible)
    if possible:
        assert max(possible) - 3 <= found.encoding.quality <= max(possible)
    else:
        assert found.encoding.quality == quality
        assert min(asked) == 1


def test_what_fits_at_once_is_encoded_once():
    found = no_larger(lambda encoding: b"x" * 10, Webp(70), ceiling=10)
    assert (found.encoding, found.encodes, found.reached) == (Webp(70), 1, True)
