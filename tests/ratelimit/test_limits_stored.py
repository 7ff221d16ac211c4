"""The keys in a storage of limits."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from scalekit.ratelimit.limits._stored import stored_key

# What storages append to a key, or put around it.
DERIVED = ["{}", "{}/expires", "{}/28976271", "{{{}}}", "{{{}}}/-1"]
KEYS = st.one_of(
    st.text(max_size=300),
    st.text("ab/;#{}:@ \r\n\0é", max_size=8),
    st.text("ab/", max_size=3).map(lambda text: f"{text};/expires"),
)


def test_a_plain_key_can_be_read_in_the_storage():
    assert stored_key("fixed", "api/fixed-window:ip:203.0.113.7") == (
        "sk:rl:fixed:api/fixed-window:ip:203.0.113.7;"
    )


@given(key=KEYS)
def test_memcached_takes_any_key_with_all_that_is_appended(key):
    for form in DERIVED:
        assert re.fullmatch(r"[!-~]{1,200}", form.format(stored_key("counter2592000", key)))


@given(one=KEYS, other=KEYS)
def test_no_key_is_another_nor_what_is_derived_of_another(one, other):
    same = one == other
    derived = [{form.format(stored_key("fixed", key)) for form in DERIVED} for key in (one, other)]
    assert derived[0] == derived[1] if same else not derived[0] & derived[1]


def test_long_keys_are_hashed_and_stay_different():
    longest, longer = (stored_key("counter2592000", "x" * length) for length in (100, 101))
    assert len(longer) <= len(longest) <= 150
    assert len({stored_key("fixed", "x" * length) for length in range(98, 300)}) == 202


def test_lone_surrogates_are_different():
    assert len({stored_key("fixed", key) for key in ("", "?", "\ud800", "\ud801", "\udfff")}) == 5


def test_what_is_hashed_is_not_what_somebody_calls_like_it():
    hashed = stored_key("fixed", "é")
    own = hashed.removeprefix("sk:rl:fixed:").removesuffix(";")
    assert stored_key("fixed", own) != hashed


def test_the_kinds_are_kept_apart():
    assert len({stored_key(kind, "k") for kind in ("fixed", "moving", "counter60", "counter6")}) == 4
