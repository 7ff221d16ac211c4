"""What a face does when its store fails."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from scalekit.errors import ConfigurationError

OnError: TypeAlias = Literal["load", "raise"]
OnErrorInvalidate: TypeAlias = Literal["raise", "queue"]


class Failure(NamedTuple):
    """What a face does when its store fails: whether a read raises, and whether an invalidation is queued."""

    raises: bool
    queues: bool


def failure(on_error: OnError, on_error_invalidate: OnErrorInvalidate) -> Failure:
    """Return what the two options of a face say."""
    if on_error not in ("load", "raise"):
        raise ConfigurationError("on_error", on_error, 'as "load" or "raise"')
    if on_error_invalidate not in ("raise", "queue"):
        raise ConfigurationError("on_error_invalidate", on_error_invalidate, 'as "raise" or "queue"')
    return Failure(on_error == "raise", on_error_invalidate == "queue")
