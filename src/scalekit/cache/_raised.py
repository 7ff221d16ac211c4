"""An exception kept in the place of a value."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any, cast


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
    """Return a copy without the past; the error itself where none would be the same."""
    twin = error
    # A copy calls the class with `args`, which its own __init__ may take for something else.
    for make in (copy.copy, _made_anew):
        with suppress(Exception):
            made = make(error)
            if type(made) is type(error) and _is_same(_parts(made), _parts(error)):
                twin = made
                break
    notes = getattr(error, "__notes__", None)
    if notes is not None:
        twin.__notes__ = list(notes)  # a list of its own: who catches it may add to it
    twin.__cause__ = twin.__context__ = None
    return twin.with_traceback(None)


def _made_anew(error: Exception) -> Exception:
    twin = type(error).__new__(type(error), *error.args)
    vars(twin).update(vars(error))
    return twin


def _parts(error: Exception) -> list[object]:
    """Return what makes an exception: arguments, attributes and slots, and how it looks."""
    state: Any = object.__getstate__(error)
    named = cast("tuple[dict[str, object] | None, ...]", state if isinstance(state, tuple) else (state,))
    pairs = [pair for part in named if part for pair in part.items()]
    return [*error.args, *[item for pair in pairs for item in pair], str(error)]


def _is_same(left: list[object], right: list[object]) -> bool:
    return len(left) == len(right) and all(map(_is_one, left, right))


def _is_one(left: object, right: object) -> bool:
    return left is right or (type(left) is str and left == right)
