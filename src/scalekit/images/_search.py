"""Finding the quality that meets a size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.images._formats import Avif, Encoding, Jpeg, Webp

_CLOSE = 3  # quality numbers this near look alike


class Found(NamedTuple):
    """The bytes chosen, their encoding, after how many encodes, and whether they are few enough."""

    data: bytes
    encoding: Encoding
    encodes: int = 1
    reached: bool = True


def no_larger(encode: Callable[[Encoding], bytes], encoding: Jpeg | Webp | Avif, *, ceiling: int) -> Found:
    """Encode, and if that takes more than `ceiling` bytes, at the best lower quality that does not.

    Bisection, at most 8 encodes. When even quality 1 is too large (pictures of some hundred bytes),
    the smallest found.
    """
    first = Found(encode(encoding), encoding)
    if len(first.data) <= ceiling:
        return first
    tried = [first._replace(reached=False)]
    low, high, fits = 0, encoding.quality, False
    while high - low > (_CLOSE if fits else 1):
        lower = replace(encoding, quality=(low + high) // 2)
        data = encode(lower)
        reached = len(data) <= ceiling
        tried.append(Found(data, lower, reached=reached))
        if reached:
            low, fits = lower.quality, True
        else:
            high = lower.quality
    best = (
        max((found for found in tried if found.reached), key=lambda found: len(found.data))
        if fits
        else min(tried, key=lambda found: len(found.data))
    )
    return best._replace(encodes=len(tried))
