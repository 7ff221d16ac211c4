"""An exception kept in the place of a value."""

from __future__ import annotations

import copy
from typing import Any


class Raised:
    """The value of an entry whose load raised an exception that is an answer.

    It keeps a copy, and raises copies: an exception that is raised again and again, by several threads,
    collects their frames in its traceback.
    """

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error: Exception = _copied(error)

    def again(self) -> Exception:
        """Return the exception to raise."""
        return _copied(self.error)


def unwrapped(value: object) -> Any:
    """Return `value`, or raise the exception that stands in its place."""
    if isinstance(value, Raised):
        raise value.again()
    return value


def _copied(error: Exception) -> Exception:
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001  # a constructor of its own that copies cannot satisfy
        twin = error
    if type(twin) is not type(error):
        twin = error
    twin.__cause__ = twin.__context__ = None
    return twin.with_traceback(None)
