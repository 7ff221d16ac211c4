"""The cache block's event."""

from __future__ import annotations

from scalekit.events import Event


class CacheEvent(Event):
    """Something a cache did; `tags` are those of the entry or of the invalidation.

    | `name` | `outcome` | when |
    |---|---|---|
    | `get` | `hit`, `miss` | a value was asked for |
    | `load` | `ok`, `error`, `outdated` | a loader ran, for `seconds`; `outdated`: its value was not stored |
    | `set`, `delete`, `invalidate`, `clear` | `ok` | the cache was told to |
    """

    __slots__ = ("tags",)

    def __init__(
        self,
        name: str,
        *,
        outcome: str = "ok",
        key: str | None = None,
        seconds: float | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        super().__init__("cache", name, outcome=outcome, key=key, seconds=seconds)
        self.tags: tuple[str, ...] = tags
