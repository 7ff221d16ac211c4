"""One wrapper per function, compiled from its signature.

Python itself then binds a call, at C speed and with the function's own error messages: defaults and
keywords are in their places before a line of ours runs, so profile(7), profile(user_id=7) and
profile(7, "en") are one call. Nothing but parameter names of the signature goes into the source.
"""

from __future__ import annotations

import inspect
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from scalekit.cache._callables import check_fits
from scalekit.cache._key import classes
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scalekit._time import Clock
    from scalekit.cache._callables import Binds
    from scalekit.cache._entry import IndexedEntry, Slot
    from scalekit.cache._stats import Counts
    from scalekit.cache.protocols import IndexedCacheStore

_STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}

_NOT_FIRST = {*_STARS, inspect.Parameter.KEYWORD_ONLY}

# Which class the argument has is asked of a literal where the annotation names one: 5 ns less.
_ANNOTATED = {int: "int", "int": "int", str: "str", "str": "str"}

# A call that is not in an index, or not hashable. All names in the source begin with _sk_: any other, a
# parameter may have.
_NO_PLACE = (KeyError, TypeError)

_ARGUMENTS = """\
def make({defaults}):
    def arguments({parameters}):
        return {{{items}}}
    return arguments
"""

_PLAIN = """\
def make(_sk_slow{defaults}):
    {async_}def {name}({parameters}):
        return {await_}_sk_slow({call})
    return {name}
"""

# The order of the tests is that of their prices; the clock, at a third of the whole, comes last.
_INDEXED = """\
def make(_sk_slow, _sk_index, _sk_store, _sk_counts, _sk_clock, _sk_no_place, _sk_int, _sk_str{defaults}):
    {async_}def {name}({parameters}):
        try:
            _sk_entry = _sk_index[{place}]
            if _sk_entry.epoch is _sk_store.epoch{kinds} and _sk_entry.due > _sk_clock():
                _sk_entry.visited = True
                _sk_counts.hits += 1
                return _sk_entry.value
        except _sk_no_place:
            pass
        return {await_}_sk_slow({call})
    return {name}
"""


# What a call reads of its store costs 100 us; to find its slot anew, with key and tags, would cost 6 more.
_REMEMBERED = """\
def make(_sk_slow, _sk_known, _sk_slots, _sk_no_place, _sk_int, _sk_str{defaults}):
    {async_}def {name}({parameters}):
        try:
            _sk_entry = _sk_slots[{place}]
        except _sk_no_place:
            _sk_entry = None
        if _sk_entry is not None{kinds}:
            return {await_}_sk_known(_sk_entry.slot{comma}{call})
        return {await_}_sk_slow({call})
    return {name}
"""


MOST_REMEMBERED = 1_024
"""Calls of one function whose slots are remembered, at about half a kilobyte each; then it begins anew."""


class Remembered:
    """A call's slot, and the classes of the arguments that it was found for, as in `IndexedEntry`."""

    __slots__ = ("kinds", "slot")

    def __init__(self, slot: Slot, kinds: tuple[type, ...]) -> None:
        self.slot = slot
        self.kinds = kinds


class CallSignature:
    """How a function is called, and which of its parameters tell one entry from another."""

    def __init__(
        self, function: Callable[..., Any], *, exclude: Collection[str], binds: Binds | None = None
    ) -> None:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise ConfigurationError("function", function, "with a signature that can be read") from error
        self.function = function
        self.binds = binds
        self._parameters = tuple(signature.parameters.values())
        self.parameters = tuple(signature.parameters)
        unknown = [name for name in exclude if name not in self.parameters and name != "session"]
        if unknown:
            raise ConfigurationError("exclude", unknown[0], self.only_parameters)
        self.receiver = self._receiver()
        self.names = tuple(name for name in self.parameters if name not in exclude and name != self.receiver)
        self.indexable = not any(parameter.kind in _STARS for parameter in self._parameters)
        self.arguments: Callable[..., dict[str, Any]] = self._make(
            _ARGUMENTS, items=", ".join(f"{name!r}: {name}" for name in self.parameters)
        )
        # What Python says of a wrong call, it says of the function.
        self.arguments.__qualname__ = getattr(function, "__qualname__", self.arguments.__qualname__)

    @property
    def only_parameters(self) -> str:
        """What to expect of something that names other things than parameters."""
        return f"to name only parameters of the function ({', '.join(self.parameters) or 'it has none'})"

    def _receiver(self) -> str | None:
        """Return the name of a method's self or cls: no argument, but the object it is called on."""
        if self.binds is staticmethod:
            return None
        if self.binds is classmethod:
            if not self._parameters or self._parameters[0].kind in _NOT_FIRST:
                raise ConfigurationError("function", self.function, "of the class, cls, under @classmethod")
            return self.parameters[0]
        scope = getattr(self.function, "__qualname__", "").rpartition(".")[0]
        if not scope or scope.endswith("<locals>") or self.parameters[:1] not in {("self",), ("cls",)}:
            return None
        return self.parameters[0]

    def is_positional(self, name: str) -> bool:
        """Whether a parameter cannot be given by its name."""
        return any(p.name == name and p.kind is p.POSITIONAL_ONLY for p in self._parameters)

    def call(self, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return `arguments` as positional ones and keywords with which the function may be called."""
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for parameter in self._parameters:
            value = arguments[parameter.name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional.extend(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(value)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                keywords[parameter.name] = value
            else:
                positional.append(value)
        return positional, keywords

    def check_taken_by(self, given: Callable[..., object], parameter: str) -> None:
        """Raise `ConfigurationError` for a callable, `given` as `parameter`, that no `call` would fit."""
        if any(p.kind in _STARS for p in self._parameters):
            return  # how many there will be is seen when it is called
        positional, keywords = self.call(dict.fromkeys(self.parameters))
        expected = f"as a callable that takes what {self.function.__qualname__}() takes"
        check_fits(given, parameter, expected, positional, keywords)

    def wrapper(self, slow: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with this signature that calls `slow`; a coroutine function if that is one."""
        return self._finished(self._make(_PLAIN, slow))

    def indexed_wrapper(
        self,
        slow: Callable[..., Any],
        index: dict[Any, IndexedEntry],
        store: IndexedCacheStore,
        counts: Counts,
        clock: Clock,
    ) -> Callable[..., Any]:
        """Return a function that looks into `index` and calls `slow` when nothing fit to serve is there."""
        given = (slow, index, store, counts, clock, _NO_PLACE, int, str)
        return self._finished(self._make(_INDEXED, *given))

    def remembering_wrapper(
        self, slow: Callable[..., Any], known: Callable[..., Any], slots: dict[Any, Remembered]
    ) -> Callable[..., Any]:
        """Return a function that calls `known` with a slot that `slots` has for the call, else `slow`."""
        return self._finished(self._make(_REMEMBERED, slow, known, slots, _NO_PLACE, int, str))

    def place(self, arguments: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """Return where an index files a call, as `indexed_wrapper` looks it up, and its values one by one."""
        values = tuple([arguments[name] for name in self.names])
        place = values if self.receiver is None else (*classes((arguments[self.receiver],)), *values)
        return (place[0] if len(place) == 1 else place), values

    def fits(self, kinds: tuple[type, ...]) -> bool:
        """Whether arguments of these classes are what the compiled tests of `indexed_wrapper` let through."""
        return all(
            kind.__name__ == expected
            for kind, name in zip(kinds, self.names, strict=True)
            if (expected := self._annotated(name)) is not None
        )

    def _annotated(self, name: str) -> str | None:
        annotation = next(p.annotation for p in self._parameters if p.name == name)
        return _ANNOTATED.get(annotation) if isinstance(annotation, (str, type)) else None

    def _make(self, template: str, *given: Any, items: str = "") -> Callable[..., Any]:
        defaults = {
            f"_sk_default{i}": parameter.default
            for i, parameter in enumerate(self._parameters)
            if parameter.default is not parameter.empty
        }
        is_async = bool(given) and inspect.iscoroutinefunction(given[0])
        source = template.format(
            name="cached",
            items=items,
            async_="async " if is_async else "",
            await_="await " if is_async else "",
            defaults="".join(f", {name}" for name in defaults) if given else ", ".join(defaults),
            parameters=self._parameter_list(),
            call=self._call_list(),
            comma=", " if self._parameters else "",
            place=self._place_text(),
            kinds="".join(self._kind_test(i, name) for i, name in enumerate(self.names)),
        )
        scope: dict[str, Any] = {}
        exec(compile(source, f"<scalekit cache: {self.function!r}>", "exec"), scope)  # noqa: S102  # see the module's docstring
        made: Callable[..., Any] = scope["make"](*given, **defaults)
        return made

    def _finished(self, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        return update_wrapper(wrapper, self.function)

    def _place_text(self) -> str:
        receiver = [] if self.receiver is None else [f"{self.receiver}.__class__"]
        return ", ".join([*receiver, *self.names]) or "()"

    def _kind_test(self, position: int, name: str) -> str:
        annotated = self._annotated(name)
        expected = f"_sk_{annotated}" if annotated else f"_sk_entry.kinds[{position}]"
        return f" and {name}.__class__ is {expected}"

    def _parameter_list(self) -> str:
        texts: list[str] = []
        kinds = [parameter.kind for parameter in self._parameters]
        for i, parameter in enumerate(self._parameters):
            kind = parameter.kind
            if kind is parameter.KEYWORD_ONLY and not any(
                k in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL} for k in kinds[:i]
            ):
                texts.append("*")
            stars = _STARS.get(kind, "")
            default = "" if parameter.default is parameter.empty else f"=_sk_default{i}"
            texts.append(f"{stars}{parameter.name}{default}")
            if kind is parameter.POSITIONAL_ONLY and kinds[i + 1 : i + 2] != [kind]:
                texts.append("/")
        return ", ".join(texts)

    def _call_list(self) -> str:
        keyword_only = inspect.Parameter.KEYWORD_ONLY
        return ", ".join(
            f"{p.name}={p.name}" if p.kind is keyword_only else _STARS.get(p.kind, "") + p.name
            for p in self._parameters
        )
