"""Names that are imported when they are first touched (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def exports(
    package: str, names: Mapping[str, Collection[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of `package`.

    `names` maps a submodule of `package` to the public names it defines; a submodule that maps to
    nothing is itself public. A name is looked up once: afterwards it is an ordinary global.
    """
    home = {name: module for module, defined in names.items() for name in defined}
    submodules = frozenset(names)
    public = {*home, *(module for module, defined in names.items() if not defined)}

    def __getattr__(name: str) -> object:  # noqa: N807  # the name PEP 562 asks for
        if name in home:
            value: object = getattr(import_module(f"{package}.{home[name]}"), name)
            setattr(sys.modules[package], name, value)
            return value
        if name in submodules:
            return import_module(f"{package}.{name}")
        msg = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def __dir__() -> list[str]:  # noqa: N807  # the name PEP 562 asks for
        return sorted({*vars(sys.modules[package]), *public})

    return __getattr__, __dir__
