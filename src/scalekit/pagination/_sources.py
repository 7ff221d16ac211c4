"""Whether an object is a source of the kind that a paginator needs; looked at once for each type."""

from __future__ import annotations

from scalekit.errors import ConfigurationError

_CO_ITERABLE = 0x180  # CO_COROUTINE | CO_ITERABLE_COROUTINE, which inspect would cost 10 ms to name


class SourceCheck:
    """Remembers the types that passed, so that a page costs one set look-up."""

    __slots__ = ("_awaited", "_method", "_passed", "_protocol")

    def __init__(self, protocol: type, *, method: str, awaited: bool) -> None:
        self._protocol = protocol
        self._method = method
        self._awaited = awaited
        self._passed: set[type] = set()

    def __call__(self, source: object) -> None:
        """Raise `ConfigurationError` unless `source` has the protocol's methods, awaited or not."""
        if source.__class__ in self._passed:
            return
        if not isinstance(source, self._protocol) or self._is_awaited(source) is not self._awaited:
            raise ConfigurationError("source", source, f"to be an {self._protocol.__name__}")
        self._passed.add(source.__class__)

    def _is_awaited(self, source: object) -> bool:
        code = getattr(getattr(source, self._method), "__code__", None)
        return code is not None and bool(code.co_flags & _CO_ITERABLE)
