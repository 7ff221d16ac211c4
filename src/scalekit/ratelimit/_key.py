"""Keys: whom a limit counts."""

from __future__ import annotations

import re

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._quota import ALGORITHMS

LONGEST_KEY = 200
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_SECRET = 64  # of BLAKE2b


def client_key(address: str, *, prefix: int = 64, secret: bytes | None = None) -> str:
    """Return the key of the client at an IP `address`.

    IPv6 addresses are masked to `prefix` bits (default 64, 1 to 128): a customer gets a whole network,
    and would otherwise have 2**64 identities. IPv4 addresses stay whole; an IPv4-mapped IPv6 address
    is that IPv4 address; a zone ("%eth0") is left out. With `secret` the result is a keyed BLAKE2b hash
    of it, 32 hex digits, so that neither the store nor an event holds the address. `address` must come
    from something you trust: never from an `X-Forwarded-For` that the client may have written.
    Raises `ConfigurationError`.
    """
    import ipaddress  # noqa: PLC0415  # 3 ms that only those who ask for it should pay

    if isinstance(prefix, bool) or not isinstance(prefix, int) or not 1 <= prefix <= 128:  # noqa: PLR2004  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("prefix", prefix, "from 1 to 128 bits")
    if secret is not None and not (isinstance(secret, bytes) and secret):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("secret", type(secret) if secret else secret, "as non-empty bytes")
    if not isinstance(address, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("address", address, "as the text of an IP address")
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise ConfigurationError("address", address, "as the text of an IP address") from None
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        client = str(mapped or ipaddress.IPv6Network((parsed, prefix), strict=False))
    else:
        client = str(parsed)
    if secret is None:
        return client
    key = secret if len(secret) <= _LONGEST_SECRET else _digest(secret, 64)
    return _digest(client.encode(), 16, key).hex()


def prefix_of(name: str, algorithm: str = ALGORITHMS[0]) -> str:
    """Return what a limiter called `name` puts before its keys; raises `ConfigurationError`.

    Another algorithm than the default is part of it: a key then has one state, of one kind. No name
    contains the "/" before it.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("name", name, "as 1 to 64 of the characters A-Z a-z 0-9 _ . -")
    return f"{name}:" if algorithm == ALGORITHMS[0] else f"{name}/{algorithm}:"


def unusual_key(prefix: str, key: object) -> str:
    """Return the stored form of a key that is not a short `str`; raises `ConfigurationError`.

    A long key is hashed, so that no store has to hold it. The prefix ends in ":", and a hashed key has
    "#" before that, which no limiter's name contains: it can never equal a key that was not hashed. Without
    a prefix it is longer than those.
    """
    if not isinstance(key, str):
        raise ConfigurationError("key", key, "as a str")
    if len(key) <= LONGEST_KEY:
        return prefix + str(key)
    digest = _digest(key.encode("utf-8", "surrogatepass"), 32).hex()
    return f"{prefix[:-1]}#:{digest}" if prefix else digest.rjust(LONGEST_KEY + 1, "#")


def _digest(data: bytes, size: int, key: bytes = b"") -> bytes:
    from hashlib import blake2b  # noqa: PLC0415  # 3 ms, for OpenSSL comes with it

    return blake2b(data, digest_size=size, key=key).digest()
