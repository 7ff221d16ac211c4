"""Invalidations that wait for a session's commit."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit._time import seconds
from scalekit.cache._names import texts
from scalekit.cache._registry import Registry
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from scalekit._time import Duration
    from scalekit.cache._async import AsyncCache
    from scalekit.cache._sync import Cache


def invalidate_on_commit(
    session: Session | scoped_session[Any] | AsyncSession | async_scoped_session[Any],
    cache: Cache | AsyncCache,
    *tags: str,
    settle: Duration = 0.0,
) -> None:
    """Invalidate `tags` of `cache` when the transaction of `session` is committed, before `commit()` returns.

    Invalidated earlier, a reader could load what was there before the commit, and the cache would keep it.

    What a rollback undoes is not invalidated, be it of a savepoint or of the whole; nor is it after `close()`
    without a commit. Called outside of a transaction it is for the next one of the session. Several calls
    add up, and each tag is invalidated once.

    If it fails, the commit stays done: `commit()` raises the cache's `BackendError`, after the session has
    become free for its next transaction, or nothing with `Cache(on_error_invalidate="queue")`.

    `settle` is for loaders that read from replicas: the tags are invalidated once more that much later, when
    the replicas have the change. It happens in the background and ends with the process or the event loop.

    A `Session` takes a `Cache`, an `AsyncSession` an `AsyncCache`; `ConfigurationError` for other pairs.
    """
    require("sqlalchemy", extra="sqlalchemy", needed_by="invalidate_on_commit")
    from scalekit.cache.sqlalchemy._session import plain_session, wish  # noqa: PLC0415  # only with it

    invalidate = getattr(cache, "invalidate_tags", None)
    if not callable(invalidate) or isinstance(cache, type):
        raise ConfigurationError("cache", cache, "as a Cache or an AsyncCache")
    real, is_async = plain_session(session)
    if inspect.iscoroutinefunction(invalidate) is not is_async:
        expected = "as an AsyncCache, for an AsyncSession" if is_async else "as a Cache, for a Session"
        raise ConfigurationError("cache", cache, expected)
    later = seconds(settle, "settle", allow_zero=True)
    # By now, for an error after the commit would come too late.
    registry = getattr(cache, "_registry", None)
    literal = registry.literal(tags) if isinstance(registry, Registry) else texts(tags)
    wish(real, cache, dict.fromkeys(literal, later), is_async=is_async)
