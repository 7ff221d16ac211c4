"""What both links do around a call: ask the breaker, account for the outcome, name the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from scalekit._breaker import Breaker
from scalekit._time import seconds
from scalekit.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigurationError
from scalekit.events import LinkEvent, guarded
from scalekit.redis import _failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit._breaker import State
    from scalekit._time import Clock, Duration
    from scalekit.events import Hook

_BACKEND = "redis"


class Ticket(NamedTuple):
    """A call that the breaker admitted."""

    generation: int
    began: float


class Guard:
    """A deadline and a circuit breaker, and what a call under them may raise."""

    def __init__(
        self, *, timeout: Duration, failures: int, reset: Duration, clock: Clock, on_event: Hook | None
    ) -> None:
        if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
            raise ConfigurationError("breaker_failures", failures, "an integer >= 1")
        if on_event is not None and not callable(on_event):
            raise ConfigurationError("on_event", on_event, "a callable of one event, or None")
        if not callable(clock):
            raise ConfigurationError("clock", clock, "a callable that returns seconds")
        self.timeout = seconds(timeout, "timeout")
        self._clock = clock
        self._emit = guarded(on_event)
        reset = seconds(reset, "breaker_reset")
        # A probe reports within its deadline, or never: then the next one may go soon after.
        patience = 2 * self.timeout + reset
        self._breaker = Breaker(failures=failures, reset=reset, patience=patience, on_change=self._report)

    @property
    def state(self) -> State:
        return self._breaker.state

    def _report(self, state: State, failures: int) -> None:
        if self._emit is not None:
            self._emit(LinkEvent("breaker", outcome=state, backend=_BACKEND, failures=failures))

    def admit(self, commands: Sequence[Sequence[Any]]) -> Ticket:
        """Return the ticket to settle the call with.

        Raises `BackendUnavailable` while the breaker is open, `ConfigurationError` for what is no command.
        """
        for command in commands:
            if isinstance(command, (str, bytes)) or not command or not isinstance(command[0], (str, bytes)):
                raise ConfigurationError("command", command, "as a tuple that begins with a command's name")
        began = self._clock()
        generation = self._breaker.admit(began)
        if generation is None:
            detail = (
                f"not asked, the circuit breaker is open; next probe in {self._breaker.retry_in(began):.3f} s"
            )
            raise BackendUnavailable(_BACKEND, _named(commands), detail)
        return Ticket(generation, began)

    def settle(self, ticket: Ticket, commands: Sequence[Sequence[Any]], replies: Sequence[Any]) -> None:
        """Settle a call whose `replies` may have errors among them; raises the `BackendError` for the first.

        What kept a command from being answered takes precedence over an error that is an answer.
        """
        refusal: tuple[Sequence[Any], Exception] | None = None
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                if not _failure.is_reply(reply):
                    self.fail(ticket, commands, reply)
                refusal = refusal or (command, reply)
        self._breaker.succeeded(ticket.generation)
        if refusal is not None:
            command, reply = refusal
            raise BackendError(_BACKEND, _named([command]), _described(reply)) from reply

    def fail(
        self, ticket: Ticket, commands: Sequence[Sequence[Any]], error: BaseException, *, late: bool = False
    ) -> NoReturn:
        """Settle a call that `error` ended, and raise what its caller is to see.

        `late` says that the deadline has passed, by whatever name the error goes.
        """
        if _failure.is_failure(error):
            self._breaker.failed(ticket.generation, ticket.began, self._clock())
            if late or _failure.is_timeout(error):
                detail = f"no answer within {self.timeout * 1000:g} ms"
                raise BackendTimeout(_BACKEND, _named(commands), detail) from error
            raise BackendError(_BACKEND, _named(commands), _described(error)) from error
        self._breaker.abandoned(ticket.generation)
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


def _named(commands: Sequence[Sequence[Any]]) -> str:
    if len(commands) != 1 or not commands[0]:
        return f"pipeline of {len(commands)}"
    name = commands[0][0]
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
