"""A hit on Redis under three limits, as a ratio to `EVALSHA "return 1"` over the same link.

The trivial script is what a round trip costs; the rest is ours: the rule on the server, and the answer in
Python. A limiter that asks once per limit stays below a third. Starts a server of its own; the two sides
take turns. From the repository's root:

    python -m benchmarks.ratelimit.server [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from scalekit.ratelimit import RateLimiter
from scalekit.ratelimit.redis import RedisRateLimitStore
from scalekit.redis import RedisLink
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2_000
WORKLOADS = {  # limits, and how many keys share the calls of a round
    "3 limits, admitted": ("100/s; 1000/m; 5000/h", 100),
    "3 limits, denied": ("1/d; 2/w; 3/year", 1),
}


def rate(call: Callable[[int], object]) -> float:
    began = time.perf_counter()
    for n in range(CALLS):
        call(n)
    return CALLS / (time.perf_counter() - began)


def compared(link: RedisLink, text: str, keys: int, rounds: int) -> tuple[float, float]:
    """Return the median of the ratios, and of our hits per second."""
    digest = link.execute("SCRIPT", "LOAD", "return 1")
    limiter = RateLimiter(text, store=RedisRateLimitStore(link))
    ours: list[float] = []
    trivial: list[float] = []
    for _ in range(rounds):
        ours.append(rate(lambda n: limiter.hit(f"user:{n % keys}")))
        trivial.append(rate(lambda _: link.execute("EVALSHA", digest, 1, "key")))
    return statistics.median(a / b for a, b in zip(ours, trivial, strict=True)), statistics.median(ours)


def main(rounds: int) -> None:
    server = RedisServer(preferred())
    server.start()
    with RedisLink.from_url(server.url, timeout="5s") as link:
        for label, (text, keys) in WORKLOADS.items():
            server.flush()
            ratio, hits = compared(link, text, keys, rounds)
            print(f"{label}: {ratio:.2f} of a trivial script ({hits:,.0f} hits/s)")
    server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
