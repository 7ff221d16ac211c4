"""What both links do around a call: ask the breaker, account for the outcome, name the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeAlias

from scalekit._breaker import Breaker, checked_failures
from scalekit._time import seconds
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.events import LinkEvent, guarded
from scalekit.redis import _failure
from scalekit.redis._packed import Packed, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._breaker import State
    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.redis._packed import Command

_BACKEND = "redis"

Ticket: TypeAlias = "tuple[int, float]"
"""A call that the breaker admitted: its generation, and when it began. No class, for every call makes one."""


class Guard:
    """A deadline and a circuit breaker, and what a call under them may raise."""

    def __init__(
        self, *, timeout: Duration, failures: int, reset: Duration, clock: Clock, on_event: Hook | None
    ) -> None:
        failures = checked_failures(failures)
        if on_event is not None and not callable(on_event):
            raise ConfigurationError("on_event", on_event, "as a callable of one event, or None")
        if not callable(clock):
            raise ConfigurationError("clock", clock, "as a callable that returns seconds")
        self.timeout = seconds(timeout, "timeout")
        self._clock = clock
        self._emit = guarded(on_event)
        reset = seconds(reset, "breaker_reset")
        # A probe reports within its deadline, or never: then the next one may go soon after.
        patience = 2 * self.timeout + reset
        self._breaker = Breaker(
            _BACKEND, failures=failures, reset=reset, patience=patience, on_change=self._report
        )

    @property
    def state(self) -> State:
        return self._breaker.state

    def _report(self, state: State, failures: int) -> None:
        if self._emit is not None:
            self._emit(LinkEvent("breaker", outcome=state, backend=_BACKEND, failures=failures))

    def admit(self, commands: Sequence[Command]) -> Ticket:
        """Return the ticket to settle the call with.

        Raises `BackendUnavailable` while the breaker is open, `ConfigurationError` for what is no command.
        """
        for command in commands:
            if isinstance(command, Packed):
                continue
            given: object = command
            if isinstance(given, (str, bytes)) or not command or not isinstance(command[0], (str, bytes)):
                raise ConfigurationError("command", command, "as a tuple that begins with a command's name")
        began = self._clock()
        generation = self._breaker.admit(began)
        if generation is None:
            raise BackendUnavailable(_BACKEND, _named(commands), self._breaker.refusal(began))
        return generation, began

    def settle(self, ticket: Ticket, commands: Sequence[Command], replies: Sequence[object]) -> None:
        """Settle a call whose `replies` may have errors among them; raises the `BackendError` for the first.

        What kept a command from being answered takes precedence over an error that is an answer.
        """
        errors = [(place, reply) for place, reply in enumerate(replies) if isinstance(reply, Exception)]
        for _, error in errors:
            if not _failure.is_reply(error):
                self.fail(ticket, commands, error)
        self._breaker.succeeded(ticket[0])
        if errors:
            place, error = errors[0]
            raise BackendError(_BACKEND, _named([commands[place]]), _described(error)) from error

    def fail(
        self, ticket: Ticket, commands: Sequence[Command], error: BaseException, *, late: bool = False
    ) -> NoReturn:
        """Settle a call that `error` ended, and raise what its caller is to see.

        `late` says that the deadline has passed, by whatever name the error goes.
        """
        generation, began = ticket
        if _failure.is_failure(error):
            late = late or _failure.is_timeout(error)
            detail = f"no answer within {self.timeout * 1000:g} ms" if late else _described(error)
            self._breaker.failed(generation, began, self._clock(), detail)
            raise (BackendTimeout if late else BackendError)(_BACKEND, _named(commands), detail) from error
        self._breaker.abandoned(generation)
        if isinstance(error, _failure.Closed):
            raise BackendError(_BACKEND, _named(commands), "the link was closed") from None
        if isinstance(error, _failure.Crowded):
            detail = f"no connection free within {self.timeout * 1000:g} ms"
            raise BackendTimeout(_BACKEND, _named(commands), detail) from None
        if _failure.is_rejected(error):
            # Its name alone: arguments may be secret.
            raise ConfigurationError(
                "command", _named(commands), f"that can be sent ({_described(error)})"
            ) from error
        raise error


def _named(commands: Sequence[Command]) -> str:
    if len(commands) != 1 or not commands[0]:
        return f"pipeline of {len(commands)}"
    name = name_of(commands[0])
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
