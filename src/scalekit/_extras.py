"""Optional third-party dependencies, imported when a store that needs them is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scalekit.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Import and return `module`, which the optional dependency group `extra` installs.

    Raises `MissingExtra`, with the install line, when `module` itself is absent. An import error
    from *inside* an installed module is a different fault and is passed on as it is.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        top_level = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top_level:
            raise
        raise MissingExtra(needed_by, module=top_level, extra=extra) from error
