from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import RateLimiter, client_key
from scalekit.ratelimit._key import prefix_of, unusual_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_ipv6_is_masked_to_its_network(address, key):
    assert client_key(address) == key


def test_prefix():
    assert client_key("2001:db8:1:2::3", prefix=48) == "2001:db8:1::/48"
    assert client_key("2001:db8::1", prefix=128) == "2001:db8::1/128"


def test_a_secret_makes_a_keyed_hash():
    hashed = client_key("2001:db8::1", secret=b"s")
    assert hashed == hashlib.blake2b(b"2001:db8::/64", key=b"s", digest_size=16).hexdigest()
    assert hashed == client_key("2001:db8::2", secret=b"s") != client_key("2001:db8::1", secret=b"t")
    assert client_key("203.0.113.7", secret=b"x" * 65) != client_key("203.0.113.7", secret=b"x" * 66)


@pytest.mark.parametrize(
    "address", ["", "unknown", "1.2.3", "1.2.3.4:80", "a, b", None, 1, b"\x01\x02\x03\x04"]
)
def test_bad_addresses_are_refused(address):
    with pytest.raises(ConfigurationError, match=r"expected address .*; got "):
        client_key(address)


@pytest.mark.parametrize("prefix", [0, 129, -1, True, 64.0, "64", None])
def test_bad_prefixes_are_refused(prefix):
    with pytest.raises(ConfigurationError, match=r"expected prefix .*; got "):
        client_key("2001:db8::1", prefix=prefix)


@pytest.mark.parametrize("secret", [b"", "text", 5])
def test_bad_secrets_are_refused_and_not_shown(secret):
    with pytest.raises(ConfigurationError, match=r"expected secret .*; got ") as caught:
        client_key("2001:db8::1", secret=secret)
    assert "text" not in str(caught.value)
    assert ("b''" in str(caught.value)) is (secret == b"")


@pytest.mark.parametrize("name", ["", "a:b", "a b", "é", "a#", "x" * 65, "a\n", None, 5])
def test_bad_names_are_refused(name):
    with pytest.raises(ConfigurationError, match=r"expected name .*; got "):
        RateLimiter("1/s", name=name)


NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True)
KEYS = st.one_of(
    st.text(max_size=8), st.text(min_size=198, max_size=204), st.sampled_from(["", "#", ":", "a" * 9999])
)


@given(st.tuples(NAMES, KEYS), st.tuples(NAMES, KEYS))
def test_two_keys_are_never_stored_as_one(first, second):
    stored = [unusual_key(prefix_of(name), key) for name, key in (first, second)]
    assert (stored[0] == stored[1]) == (first == second)
    assert all(len(text) <= 300 for text in stored)


def test_without_a_prefix_a_hash_of_a_key_is_another_key():
    hashed = unusual_key("", "x" * 201)
    assert len(hashed) <= 300
    assert hashed != unusual_key("", "x" * 202)
    assert unusual_key("", hashed) != hashed
    for key in (hashed[1:], hashed.lstrip("#"), "x" * 200):
        assert unusual_key("", key) == key != hashed


def test_a_hash_of_a_key_is_another_key():
    prefix = prefix_of("api")
    hashed = unusual_key(prefix, "x" * 201)
    for name in ("api", "api-"):
        for key in (hashed, hashed.removeprefix("api"), hashed.rpartition(":")[2], "x" * 200):
            assert unusual_key(prefix_of(name), key) != hashed
