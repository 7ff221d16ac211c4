"""Sellers' profiles through the cache, and what invalidating a tag does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import sqlalchemy as sa

from _quickstart.listings import SELLERS
from _quickstart.step import seconds
from scalekit.cache import Cache, MemoryCacheStore
from scalekit.cache.redis import RedisCacheStore

if TYPE_CHECKING:
    from _quickstart.listings import Marketplace
    from _quickstart.step import Step
    from scalekit.redis import RedisLink


class Profile(NamedTuple):
    listings: int
    cheapest: int


def profiles(step: Step, market: Marketplace, link: RedisLink | None) -> None:
    store = RedisCacheStore(link) if link else MemoryCacheStore()
    cache = Cache(store, namespace=f"quickstart-{uuid4().hex}")  # a Redis may be anybody's
    price, seller = market.table.c.price, market.table.c.seller

    @cache.cached(ttl="1h", tags=["seller:{seller_id}"])
    def profile(seller_id: int) -> Profile:
        with market.engine.connect() as connection:
            found = sa.select(sa.func.count(), sa.func.min(price)).where(seller == seller_id)
            return Profile(*connection.execute(found).one())

    rng = random.Random(1)
    visits = [int(rng.paretovariate(1.0)) % SELLERS for _ in range(10_000)]  # most visit the same few
    for seller_id in visits:
        profile(seller_id)
    stats = cache.stats()
    step.check("every profile is loaded once", holds=stats.loads == len(set(visits)))
    visited = f"{stats.loads} loads for {len(visits):,} visits"
    step.show("hit ratio", f"{stats.hit_ratio:.1%}", visited, hit_ratio=stats.hit_ratio, loads=stats.loads)

    hit = seconds(lambda: [profile(1) for _ in range(1_000)], times=5) / 1_000
    load = seconds(lambda: profile.__wrapped__(1), times=21)
    step.show("a hit", f"{hit * 1e6:.2f} us", hit_us=hit * 1e6)
    step.show("a load", f"{load * 1e6:,.0f} us", f"{load / hit:,.0f} times the hit's", load_us=load * 1e6)

    # Two sellers offer a bargain, but only one of them is said to have changed.
    with market.engine.begin() as connection:
        connection.execute(sa.update(market.table).where(seller.in_([1, 2])).values(price=1))
    loads, stale = cache.stats().loads, profile(1)
    cache.invalidate_tags("seller:1")
    fresh = profile(1)
    others = {seller_id: profile(seller_id) for seller_id in set(visits) - {1}}
    reloads = cache.stats().loads - loads
    kept = f"profile loaded anew, {len(others)} kept; its cheapest {stale.cheapest} -> {fresh.cheapest}"
    step.show("one tag invalidated", f"{reloads}", kept, reloads=reloads)
    step.check("the invalidated profile is loaded anew", holds=fresh.cheapest == 1 < stale.cheapest)
    step.check("no other profile is", holds=reloads == 1 and others[2].cheapest > 1)
    cache.delete(*(profile.key(seller_id) for seller_id in set(visits)))
