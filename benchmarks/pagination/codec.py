"""What a cursor costs: a timestamp and a bigint to text and back, `python benchmarks/pagination/codec.py`.

Contenders take turns in this process; a figure is the best of many rounds, in microseconds.

* ours: signed, bound to order and scope, checked to have one spelling; and with what else it may carry.
  "other secret" is a cursor of the last of four secrets; "bound anew" makes its coder for each call, as
  a paginator does once a page
* sqlakeyset: its bookmarks as they are, which anybody can write, and which need quoting in a URL
* sqlakeyset + HMAC: the same in base64 under an HMAC-SHA256, the plain way to sign them
"""

from __future__ import annotations

import hmac
import timeit
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlakeyset import serialize_bookmark, unserialize_bookmark

from scalekit.pagination import SortKey, TotalOrder
from scalekit.pagination._cursor import Codec
from scalekit.pagination._expiry import Expiry
from scalekit.pagination._values import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 30, 2_000
SECRET = b"benchmark"
VALUES = (datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC), 2**53 + 1)
ORDER = TotalOrder(
    [
        SortKey("created_at", descending=True, nulls_first=False, nullable=False, kind=KINDS[datetime]),
        SortKey("id", descending=True, nulls_first=False, nullable=False, kind=KINDS[int]),
    ]
)


class Contender(NamedTuple):
    """How to write a cursor, how to read one, and the one to read."""

    encode: Callable[[], str]
    decode: Callable[[str], Any]
    cursor: str


def ours(codec: Codec, *, signer: Codec | None = None, anew: bool = False) -> Contender:
    coder = codec.bind(ORDER, "tenant-7")
    cursor = (signer or codec).bind(ORDER, "tenant-7").encode(VALUES, backward=False)
    if anew:
        return Contender(
            lambda: codec.bind(ORDER, "tenant-7").encode(VALUES, backward=False),
            lambda text: codec.bind(ORDER, "tenant-7").decode(text).values,
            cursor,
        )
    return Contender(
        lambda: coder.encode(VALUES, backward=False), lambda text: coder.decode(text).values, cursor
    )


def signed_bookmark() -> str:
    body = serialize_bookmark((VALUES, False)).encode()
    return urlsafe_b64encode(hmac.digest(SECRET, body, "sha256") + body).rstrip(b"=").decode()


def checked_bookmark(text: str) -> Any:
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if not hmac.compare_digest(hmac.digest(SECRET, raw[32:], "sha256"), raw[:32]):
        raise ValueError(text)
    return unserialize_bookmark(raw[32:].decode()).place


def contenders() -> dict[str, Contender]:
    one, four = Codec(SECRET), Codec([SECRET, b"2", b"3", b"4"])
    expiring = Codec(SECRET, expiry=Expiry("15m", lambda: 1.78e9))
    return {
        "ours": ours(one),
        "ours, bound anew": ours(one, anew=True),
        "ours, other secret": ours(four, signer=Codec(b"4")),
        "ours, expiring": ours(expiring),
        "sqlakeyset": Contender(
            lambda: serialize_bookmark((VALUES, False)),
            lambda text: unserialize_bookmark(text).place,
            serialize_bookmark((VALUES, False)),
        ),
        "sqlakeyset + HMAC": Contender(signed_bookmark, checked_bookmark, signed_bookmark()),
    }


def main() -> None:
    every = contenders()
    best = {name: [float("inf"), float("inf")] for name in every}
    for each in every.values():
        assert tuple(each.decode(each.cursor)) == VALUES
    for _ in range(ROUNDS):
        for name, (encode, decode, cursor) in every.items():
            for at, call in enumerate((encode, lambda: decode(cursor))):  # noqa: B023  # called here only
                best[name][at] = min(best[name][at], timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    print(f"{'':20}{'encode':>8}{'decode':>8}{'both, us':>10}{'ratio':>8}{'characters':>12}")
    base = sum(best["ours"])
    for name, (encode, decode) in best.items():
        both, size = encode + decode, len(every[name].cursor)
        print(f"{name:20}{encode:8.2f}{decode:8.2f}{both:10.2f}{both / base:8.2f}{size:12}")


if __name__ == "__main__":
    main()
