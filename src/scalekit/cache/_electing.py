"""Elections: who may hold one, and how long who was not elected waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from scalekit.cache._policy import CachePolicy

PATIENCE = 20
"""Leases after which a waiting process loads by itself: two may wait for each other's loads in a circle."""
WAIT = 0.25
"""Seconds between two looks at a key that another process loads, should its wake-up be lost."""


def check_electing(policy: CachePolicy, leases: object) -> None:
    """Raise `ConfigurationError` for a policy that needs elections where there are no `leases`."""
    if policy.lock == "cluster" and leases is None:
        expected = 'as "process" or None, since the store cannot elect one of several processes'
        raise ConfigurationError("lock", policy.lock, expected)
