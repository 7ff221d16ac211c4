"""Finding the quality that meets a size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.images._formats import Encoding, Lossy

_CLOSE = 3  # quality numbers this near look alike


class Found(NamedTuple):
    """The bytes chosen, their encoding, after how many encodes, and whether they are few enough."""

    data: bytes
    encoding: Encoding
    encodes: int = 1
    reached: bool = True


def no_larger(encode: Callable[[Encoding], bytes], encoding: Lossy, *, ceiling: int) -> Found:
    """Encode, and if that takes more than `ceiling` bytes, at the best lower quality that does not.

    Bisection, at most 8 encodes. Where even quality 1 takes more (pictures of some hundred bytes, which
    are all header), the one at full quality: spoiling the picture would gain nothing.
    """
    first = Found(encode(encoding), encoding)
    if len(first.data) <= ceiling:
        return first
    best, encodes = first._replace(reached=False), 1
    low, high = 0, encoding.quality
    while high - low > (_CLOSE if best.reached else 1):
        lower = replace(encoding, quality=(low + high) // 2)
        data, encodes = encode(lower), encodes + 1
        if len(data) <= ceiling:
            low, best = lower.quality, Found(data, lower)
        else:
            high = lower.quality
    return best._replace(encodes=encodes)
