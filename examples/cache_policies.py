"""One table of lifetimes for the content types of a marketplace, and functions that use it.

    python examples/cache_policies.py                 in memory
    python examples/cache_policies.py redis://…       on Redis or Valkey, shared by all processes

Every step checks what it claims; the exit code is 0 only if all hold.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from scalekit.cache import Cache, CachePolicy, MemoryCacheStore
from scalekit.cache.redis import RedisCacheStore
from scalekit.redis import RedisLink

# What a team can agree on, in one place. A decorator may still say otherwise for one function.
PROFILES = CachePolicy(ttl="1h", stale_if_error="1d", none_ttl="1m")
TRENDING = CachePolicy(ttl="30m", stale_while_revalidate="10m", jitter=0.1)
EVENTS = CachePolicy(ttl="4h", early_refresh=1.0)
LEADERBOARD = CachePolicy(ttl="5m", stale_while_revalidate="1m", load_timeout="2s")


@dataclass(frozen=True)
class Profile:
    id: int
    name: str


class Marketplace:
    """A database, for this example: what is asked of it is counted."""

    def __init__(self) -> None:
        self.names = {7: "Ada", 8: "Grace"}
        self.scores = {7: 31, 8: 40}
        self.asked = 0

    def profile(self, user_id: int) -> Profile | None:
        self.asked += 1
        return Profile(user_id, self.names[user_id]) if user_id in self.names else None

    def profiles(self, user_ids: list[int]) -> dict[int, Profile]:
        self.asked += 1
        return {id_: Profile(id_, self.names[id_]) for id_ in user_ids if id_ in self.names}

    def trending(self, area: int) -> list[str]:
        self.asked += 1
        return [f"bicycle in area {area}", "sofa"]

    def events(self, area: int, days: int) -> list[str]:
        self.asked += 1
        return [f"flea market in area {area} within {days} days"]

    def leaderboard(self) -> list[int]:
        self.asked += 1
        return sorted(self.scores, key=lambda id_: -self.scores[id_])


class Pages:
    """What the application shows, cached by content type."""

    def __init__(self, database: Marketplace, cache: Cache) -> None:
        self.profile = cache.cached(PROFILES, tags=["user:{user_id}"])(database.profile)
        self.profiles = cache.cached_many(PROFILES, tags=["user:{id}"])(database.profiles)
        self.trending = cache.cached(TRENDING, tags=["area:{area}"])(database.trending)
        self.events = cache.cached(EVENTS, tags=["area:{area}", "events"])(database.events)
        self.leaderboard = cache.cached(LEADERBOARD, tags=["scores"])(database.leaderboard)


def check(what: str, holds: bool) -> bool:  # noqa: FBT001
    print(f"{'ok' if holds else 'WRONG':6} {what}")
    return holds


def main() -> int:
    link = RedisLink.from_url(sys.argv[1], timeout="1s") if len(sys.argv) > 1 else None
    store = MemoryCacheStore(max_entries=50_000) if link is None else RedisCacheStore(link)
    database = Marketplace()
    cache = Cache(store, namespace="example-policies")
    cache.clear()
    pages = Pages(database, cache)

    for _ in range(100):
        pages.profile(7)
        pages.trending(3)
        pages.events(3, days=7)
        pages.leaderboard()
    every = [check(f"400 page views, {database.asked} queries", database.asked == 4)]

    database.names[7] = "Ada Lovelace"
    cache.invalidate_tags("user:7")
    renamed = pages.profile(7)
    every.append(check(f"a rename is seen at once: {renamed}", renamed == Profile(7, "Ada Lovelace")))

    asked = database.asked
    people = pages.profiles([7, 8, 99])
    every.append(check(f"{len(people)} of 3 profiles in {database.asked - asked} query", len(people) == 2))
    pages.profiles([8, 7, 99])
    every.append(check("and the one that does not exist is not asked for again", database.asked == asked + 1))

    report = pages.events.warm([(area, 7) for area in range(20)], concurrency=4)
    every.append(check(f"warmed {report.loaded} areas, {report.present} was there", report.present == 1))

    stats = cache.stats()
    every.append(check(f"hit ratio {stats.hit_ratio:.0%}", stats.hit_ratio > 0.9))
    if link is not None:
        link.close()
    return 0 if all(every) else 1


if __name__ == "__main__":
    sys.exit(main())
