from __future__ import annotations

from datetime import timedelta

import pytest

from scalekit.cache import AsyncCache, Cache, CachePolicy, CacheStats
from scalekit.cache._policy import policy_of
from scalekit.errors import ConfigurationError


def test_durations_become_seconds():
    assert CachePolicy(ttl="1h", none_ttl=timedelta(minutes=1)) == CachePolicy(ttl=3600, none_ttl=60.0)


def test_none_has_a_lifetime_of_its_own():
    policy = CachePolicy(ttl=10, none_ttl=2)
    assert (policy.lifetime("x"), policy.lifetime(None), policy.lifetime(0)) == (10.0, 2.0, 10.0)
    assert CachePolicy(ttl=10).lifetime(None) == 10.0
    assert CachePolicy(ttl=10, none_ttl=0).lifetime(None) == 0.0


@pytest.mark.parametrize("ttl", [0, -1, "x", float("nan"), float("inf"), True, b"1s"])
def test_a_bad_lifetime_is_refused(ttl):
    with pytest.raises(ConfigurationError, match=r"expected ttl .*; got"):
        CachePolicy(ttl=ttl)
    with pytest.raises(ConfigurationError, match=r"expected ttl .*; got"):
        policy_of(None, {"ttl": ttl}, Cache.set)


def test_a_bad_lifetime_of_none_is_refused():
    with pytest.raises(ConfigurationError, match=r"expected none_ttl .*; got"):
        CachePolicy(ttl=1, none_ttl=-1)


def test_what_is_given_besides_a_policy_replaces_its_own():
    policy = CachePolicy(ttl=10, none_ttl=2)
    assert policy_of(policy, {}, Cache.set) == policy
    assert policy_of(policy, {"ttl": 20}, Cache.set) == CachePolicy(ttl=20, none_ttl=2)
    assert policy_of(policy, {"none_ttl": 0}, Cache.set) == CachePolicy(ttl=10, none_ttl=0)


def test_a_policy_or_a_lifetime_is_needed():
    with pytest.raises(ConfigurationError, match=r"expected ttl as a duration, or a CachePolicy"):
        policy_of(None, {}, Cache.set)
    with pytest.raises(ConfigurationError, match=r"expected policy as a CachePolicy"):
        policy_of("1h", {}, Cache.set)
    with pytest.raises(ConfigurationError, match=r"call it: cached\(ttl=\.\.\.\)"):
        Cache().cached(lambda: 1)


@pytest.mark.parametrize("kind", [Cache, AsyncCache])
@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda cache: cache.cached(tll="1h"),
            r"cached\(\) got an unexpected option 'tll'; did you mean 'ttl'\?",
        ),
        (lambda cache: cache.cached(ttl=1, tag=[]), r"cached\(\) .* option 'tag'; did you mean 'tags'\?"),
        (lambda cache: cache.cached_many(CachePolicy(ttl=1), key=len), r"cached_many\(\) .* option 'key'$"),
        (
            lambda cache: cache.get_or_set("k", len, ttl=1, serializer=1),
            r"get_or_set\(\) .* option 'serializer'$",
        ),
        (lambda cache: cache.set("k", 5, expire=5), r"\bset\(\) got an unexpected option 'expire'"),
    ],
)
def test_an_option_that_there_is_not_is_named_with_the_one_that_was_meant(kind, call, complaint):
    def run():
        call(kind()).send(None)  # of `AsyncCache`, where nothing happens before

    with pytest.raises(TypeError, match=complaint):
        run()


def test_no_option_needs_to_be_hashable():
    for name in ("lock", "cache_exceptions", "ttl"):
        with pytest.raises(ConfigurationError, match=rf"expected {name} as .*; got"):
            CachePolicy(**{"ttl": 1, name: [[]]})
    with pytest.raises(ConfigurationError, match='expected lock as "process", "cluster" or None; got'):
        CachePolicy(ttl=1, lock="thread")


def test_the_hit_ratio():
    assert CacheStats(0, 0, 0, 0, 0, 0, 0).hit_ratio == 0.0
    assert CacheStats(3, 1, 0, 1, 0, 0, 0).hit_ratio == 0.75
