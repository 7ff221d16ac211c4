"""The blocking link."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit._time import seconds
from scalekit.redis._connections import transport
from scalekit.redis._deadline import deadline
from scalekit.redis._failure import (
    Crowded,
    crowded_out,
    failed,
    is_failure,
    is_rejected,
    is_timeout,
    operation,
    refused,
    timed_out,
)
from scalekit.redis._options import breaker, client_from_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from scalekit._breaker import State
    from scalekit._time import Clock, Duration
    from scalekit.events import Hook


class RedisLink:
    """One connection to Redis or Valkey, shared by every store on it: one deadline, one circuit breaker.

    `client` is a redis-py client: `redis.Redis` (also a Sentinel master) or `redis.RedisCluster`. It is
    read, not used: the link opens its own connections to the same address with the same credentials,
    so that its time-outs hold whatever the client was configured with.

    `timeout` bounds a whole call: waiting for a free connection, connecting, the handshake, the command
    and its reply (only name resolution cannot be interrupted). Nothing is retried, reads included.
    After `breaker_failures` failed calls in a row the breaker opens: calls are refused at once, and
    every `breaker_reset` exactly one of them is let through to see whether the server is back. An
    error that the server sends as its reply is no failure in this sense.

    Safe to share between threads, and across `fork`. `clock` drives the breaker alone; `on_event` gets a
    `LinkEvent` when the breaker changes its state.

    Worst case: a call takes `timeout`, plus some milliseconds of scheduling; on a cluster all commands
    of one `pipeline` share it.
    """

    def __init__(
        self,
        client: object,
        *,
        timeout: Duration = 0.05,
        breaker_failures: int = 3,
        breaker_reset: Duration = "1s",
        clock: Clock = monotonic,
        on_event: Hook | None = None,
    ) -> None:
        self._timeout = seconds(timeout, "timeout")
        self._clock = clock
        self._breaker = breaker(
            breaker_failures=breaker_failures, breaker_reset=breaker_reset, on_event=on_event
        )
        self._transport = transport(client, timeout=self._timeout)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: Duration = 0.05,
        breaker_failures: int = 3,
        breaker_reset: Duration = "1s",
        clock: Clock = monotonic,
        on_event: Hook | None = None,
    ) -> Self:
        """Return a link to the server at `url` (`redis://`, `rediss://` or `unix://`); options as for the class.

        Connects on the first command, not here.
        """
        redis = require("redis", extra="redis", needed_by="RedisLink")
        return cls(
            client_from_url(redis.Redis, url),
            timeout=timeout,
            breaker_failures=breaker_failures,
            breaker_reset=breaker_reset,
            clock=clock,
            on_event=on_event,
        )

    @property
    def timeout(self) -> float:
        """The deadline of a call, in seconds."""
        return self._timeout

    @property
    def state(self) -> State:
        """The circuit breaker's state: "closed", "open" or "half-open"."""
        return self._breaker.state

    def execute(self, *command: Any) -> Any:
        """Send one command and return its reply, as redis-py's `execute_command` returns it.

        Raises `BackendTimeout` when no answer came within the deadline, `BackendUnavailable` when the breaker
        is open, and `BackendError` for a failed connection or an error reply.
        """
        return self.pipeline([command])[0]

    def pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send `commands` in one round trip and return their replies, within one deadline.

        Not a transaction. Raises as `execute` does; an error reply to any of them is raised after all
        replies were read, so the others did take effect.
        """
        began = self._clock()
        ticket = self._breaker.admit(began)
        if ticket is None:
            raise refused(operation(commands), self._breaker.retry_in(began))
        try:
            with deadline(self._timeout) as ends:
                replies = self._transport.exchange(commands)
        except Crowded:
            self._breaker.abandoned(ticket)
            raise crowded_out(operation(commands), self._timeout) from None
        except BaseException as error:
            if not is_failure(error):
                self._breaker.abandoned(ticket)
                if is_rejected(error):
                    raise failed(operation(commands), error) from error
                raise
            self._breaker.failed(ticket, began, self._clock())
            if is_timeout(error) or monotonic() >= ends:
                raise timed_out(operation(commands), self._timeout) from error
            raise failed(operation(commands), error) from error
        self._breaker.succeeded(ticket)
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                raise failed(operation([command]), reply) from reply
        return replies

    def close(self) -> None:
        """Close the connections; the link may be used again and opens new ones then."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the link."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close the connections."""
        self.close()
