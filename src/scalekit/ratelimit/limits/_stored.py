"""The keys in a storage of limits, which may be Memcached: 250 printable ASCII characters at most.

Storages append to a key ("/expires", the number of a window) and put it in braces. So a key ends in ";",
which no key has inside: what is appended to one is never the beginning of another. A key that is not
plain and short is hashed, with "#" before it, which no plain key has.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]{1,100}")


def stored_key(kind: str, key: str) -> str:
    """Return the key in the storage; `kind` keeps what different strategies store apart."""
    if not _PLAIN.fullmatch(key):
        from hashlib import blake2b  # noqa: PLC0415  # 3 ms, for OpenSSL comes with it

        key = "#" + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
    return f"sk:rl:{kind}:{key};"
