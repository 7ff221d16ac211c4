"""The cache block's event."""

from __future__ import annotations

from scalekit.events import Event


class CacheEvent(Event):
    """Something a cache did; `tags` are those of the entry or of the invalidation.

    | `name` | `outcome` | when |
    |---|---|---|
    | `get` | `hit`, `stale`, `miss` | a value was asked for; `stale` after a `miss`: its load failed |
    | `load` | `ok`, `error`, `outdated` | a loader ran, for `seconds`; `outdated`: its value was not stored |
    | | | `error`: it, or storing what it brought, failed with `error` |
    | `set` | `ok`, `error`, `queued` | a value was given; `queued`: lost, but the old one will be deleted |
    | `delete`, `invalidate`, `clear` | `ok`, `error`, `queued`, `replayed` | how what it was told to went |
    | `store` | `error` | the store's method `operation` failed with `error` |

    A value is not stored if it was invalidated meanwhile, or if the store failed or has no room for it.
    """

    __slots__ = ("error", "operation", "tags")

    def __init__(
        self,
        name: str,
        *,
        outcome: str = "ok",
        key: str | None = None,
        seconds: float | None = None,
        tags: tuple[str, ...] = (),
        operation: str | None = None,
        error: Exception | None = None,
    ) -> None:
        super().__init__("cache", name, outcome=outcome, key=key, seconds=seconds)
        self.tags: tuple[str, ...] = tags
        self.operation: str | None = operation
        self.error: Exception | None = error
