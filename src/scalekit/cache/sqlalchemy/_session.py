"""What a session remembers until its transaction ends, and what it does then.

Two listeners serve all sessions: one that removed itself could not do so while it is called. What is wanted
lies in `Session.info`, which goes with the session.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import InvalidRequestError, PendingRollbackError
from sqlalchemy.orm import Session, scoped_session

from scalekit.cache.sqlalchemy._delivery import deliver, deliver_from_greenlet
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import SessionTransaction

_KEY = "scalekit.cache.invalidate_on_commit"


class Wishes:
    """Per cache: the tags, and how much later to invalidate them once more (0: not)."""

    def __init__(self) -> None:
        self.caches: dict[int, tuple[Any, dict[str, float]]] = {}

    def add(self, cache: Any, tags: dict[str, float]) -> None:
        """Add `tags`; of two times to settle the longer one counts."""
        _, known = self.caches.setdefault(id(cache), (cache, {}))
        for tag, settle in tags.items():
            known[tag] = max(settle, known.get(tag, 0.0))

    def join(self, other: Wishes) -> None:
        """Add what `other` has."""
        for cache, tags in other.caches.values():
            self.add(cache, tags)


class SessionWishes:
    """The wishes of one session: by savepoint, those of the outermost transaction or the next under None."""

    def __init__(self) -> None:
        self.is_async = False
        self.by_savepoint: dict[SessionTransaction | None, Wishes] = {}
        self.committed: SessionTransaction | None = None


def plain_session(session: Any) -> tuple[Session, bool]:
    """Return the `Session` behind any kind of session, and whether it is for an event loop."""
    # Who has an AsyncSession has loaded this, and asyncio with it; others need not.
    ext: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    scoped: Any = (scoped_session, ext.async_scoped_session) if ext else scoped_session
    real: Any = session() if isinstance(session, scoped) else session
    if ext and isinstance(real, ext.AsyncSession):
        return real.sync_session, True
    if not isinstance(real, Session):
        raise ConfigurationError("session", session, "as a Session, AsyncSession, or a scoped one of either")
    # run_sync() hands out the Session inside an AsyncSession.
    return real, bool(ext and ext.async_session(real) is not None)


def wish(session: Session, cache: Any, tags: dict[str, float], *, is_async: bool) -> None:
    """Remember `tags` of `cache` until the transaction of `session` ends."""
    remembered: SessionWishes | None = session.info.get(_KEY)
    if remembered is None:
        remembered = session.info[_KEY] = SessionWishes()
        if _is_committed(session):
            # The process's first wish comes from a listener of this very commit, and this file was not
            # imported when that began.
            _after_commit(session)
    remembered.is_async = is_async
    remembered.by_savepoint.setdefault(session.get_nested_transaction(), Wishes()).add(cache, tags)


def _is_committed(session: Session) -> bool:
    """Return whether a transaction or savepoint of `session` is committed, and not closed yet."""
    transaction = session.get_nested_transaction() or session.get_transaction()
    if transaction is None or transaction.is_active:
        return False
    try:
        session.connection()  # sends nothing: it says why it may not
    except PendingRollbackError:
        return False
    except InvalidRequestError:
        return True
    return False


def _after_commit(session: Session) -> None:
    # Without wishes as well: one may come from a listener that is called after this one.
    remembered: SessionWishes = session.info.setdefault(_KEY, SessionWishes())
    # Not here: the connections are not given back yet, and an error would leave the session in between.
    remembered.committed = session.get_nested_transaction() or session.get_transaction()


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    remembered: SessionWishes | None = session.info.get(_KEY)
    if remembered is None:
        return
    committed = remembered.committed is transaction
    if transaction.parent is None:
        del session.info[_KEY]
        if committed and None in remembered.by_savepoint:
            deliver_all = deliver_from_greenlet if remembered.is_async else deliver
            deliver_all(remembered.by_savepoint[None].caches.values())
        return
    wishes = remembered.by_savepoint.pop(transaction, None)
    if committed and wishes is not None:
        parent: SessionTransaction | None = transaction.parent
        while parent is not None and not parent.nested:
            parent = parent.parent
        remembered.by_savepoint.setdefault(parent, Wishes()).join(wishes)


event.listen(Session, "after_commit", _after_commit)
event.listen(Session, "after_transaction_end", _after_transaction_end)
