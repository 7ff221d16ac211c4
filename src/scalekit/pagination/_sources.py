"""Whether an object is a source of the kind that a paginator needs; looked at once for each type."""

from __future__ import annotations

from scalekit.errors import ConfigurationError

_CO_ITERABLE = 0x180  # CO_COROUTINE | CO_ITERABLE_COROUTINE, which inspect would cost 10 ms to name


class SourceCheck:
    """Remembers the types that passed, so that a page costs one set look-up."""

    __slots__ = ("_awaited", "_method", "_passed", "_protocol", "_twin")

    def __init__(self, protocol: type, *, method: str, awaited: bool, twin: str) -> None:
        self._protocol = protocol
        self._twin = twin
        self._method = method
        self._awaited = awaited
        self._passed: set[type] = set()

    def __call__(self, source: object) -> None:
        """Raise `ConfigurationError` unless `source` has the protocol's methods, awaited or not.

        Of a source that is only awaited where it should not be, or the other way round, it names the
        paginator that takes it.
        """
        if source.__class__ in self._passed:
            return
        name = self._protocol.__name__
        expected = f"to be {'an' if name[0] in 'AEIOU' else 'a'} {name}"
        if not isinstance(source, self._protocol):
            raise ConfigurationError("source", source, expected)
        if self._is_awaited(source) is not self._awaited:
            found = "is not awaited" if self._awaited else "is awaited"
            raise ConfigurationError("source", source, f"{expected}; use {self._twin} for one that {found}")
        self._passed.add(source.__class__)

    def _is_awaited(self, source: object) -> bool:
        code = getattr(getattr(source, self._method), "__code__", None)
        return code is not None and bool(code.co_flags & _CO_ITERABLE)
