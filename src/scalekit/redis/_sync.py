"""The blocking link."""

from __future__ import annotations

import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.redis import _own
from scalekit.redis._cluster import Cluster
from scalekit.redis._connections import Connections
from scalekit.redis._deadline import set_deadline
from scalekit.redis._guard import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from redis import Redis, RedisCluster

    from scalekit._breaker import State
    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.redis._listener import Listener
    from scalekit.redis._packed import Command
    from scalekit.redis._transport import Transport


class RedisLink:
    """One connection to Redis or Valkey for every store on it: one deadline, one circuit breaker.

    `client` is a redis-py client: `redis.Redis` (also a Sentinel master) or `redis.RedisCluster`. It is
    read, not used: the link opens its own connections to the same address with the same credentials,
    so that its time-outs hold whatever the client was configured with.

    `timeout` (default 50 ms) bounds a whole call: waiting for a free connection, connecting, the handshake,
    the command and its reply (only name resolution cannot be interrupted). Nothing is retried, reads
    included. After `breaker_failures` failed calls in a row (default 3) the breaker opens: calls are refused
    at once, and every `breaker_reset` (default 1 second) exactly one of them is let through to see whether
    the server is back. An error that the server sends as its reply is no failure in this sense.

    Safe to share between threads, and across `fork`. `clock` (default `time.monotonic`) drives the breaker
    alone; `on_event` gets a `LinkEvent` when the breaker changes its state. That it opens and closes is also
    logged, by the logger "scalekit".

    Raises `ConfigurationError` for anything that is no such client, and for options out of their range.

    On a cluster only masters are asked, and each has 0.6 of `timeout` to answer. After one did not, the next
    call that would lead to it asks the others first who serves its slots now.

    Worst case: a call takes `timeout`, plus some milliseconds of scheduling.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        timeout: Duration = 0.05,
        breaker_failures: int = 3,
        breaker_reset: Duration = "1s",
        clock: Clock = monotonic,
        on_event: Hook | None = None,
    ) -> None:
        self._guard = Guard(
            timeout=timeout, failures=breaker_failures, reset=breaker_reset, clock=clock, on_event=on_event
        )
        kind = Cluster if _own.is_cluster(client, asynchronous=False) else Connections
        self._transport: Transport = kind(client, timeout=self._guard.timeout)
        self._client = client
        self._listeners: dict[str, Listener] = {}  # of one, since a dict's setdefault is atomic

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
        """Return a link to the server at `url`: `redis://`, `rediss://` or `unix://`.

        The options are those of the class. It connects on the first command, not here.
        """
        redis = require("redis", extra="redis", needed_by="RedisLink")
        return cls(
            _own.from_url(redis.Redis, url),
            timeout=timeout,
            breaker_failures=breaker_failures,
            breaker_reset=breaker_reset,
            clock=clock,
            on_event=on_event,
        )

    @property
    def timeout(self) -> float:
        """The deadline of a call, in seconds."""
        return self._guard.timeout

    @property
    def cluster(self) -> bool:
        """Whether it leads to a Redis Cluster."""
        return isinstance(self._transport, Cluster)

    @property
    def state(self) -> State:
        """The circuit breaker's state: "closed", "open" or "half-open"."""
        return self._guard.state

    @property
    def listener(self) -> Listener:
        """What hears what the server announces; for stores. It does nothing until somebody listens."""
        listener = self._listeners.get("one")
        return self._new_listener() if listener is None else listener

    def _new_listener(self) -> Listener:
        from scalekit.redis._listener import Listener  # noqa: PLC0415  # most links are never listened at

        listener = Listener(self._client, cluster=self.cluster, timeout=self._guard.timeout)
        weakref.finalize(self, listener.close)
        return self._listeners.setdefault("one", listener)

    def execute(self, *command: Any) -> Any:
        """Send one command and return its reply, as redis-py's `execute_command` returns it.

        Raises `BackendTimeout` when no answer came within the deadline, `BackendUnavailable` when the breaker
        is open, `BackendError` for a failed connection or an error reply, and `ConfigurationError` for what
        cannot be sent at all: no command's name, or an argument that redis-py does not encode.
        """
        return self.pipeline([command])[0]

    def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send `commands` in one round trip and return their replies, within one deadline.

        Not a transaction. Raises as `execute` does; an error reply to any of them is raised after all
        replies were read, so the others did take effect. On a cluster every node is sent its commands
        before the first reply is read, and the commands of a node that does not answer fail alone.
        """
        if not isinstance(commands, (list, tuple)):
            raise ConfigurationError("commands", commands, "as a list or tuple of commands, each a tuple")
        if not commands:
            return []
        ticket = self._guard.admit(commands)
        ends = monotonic() + self._guard.timeout
        try:
            outer = set_deadline(ends)
            try:
                replies = self._transport.exchange(commands)
            finally:
                set_deadline(outer)
        except BaseException as error:  # noqa: BLE001  # accounted for there, and raised
            self._guard.fail(ticket, commands, error, late=monotonic() >= ends)
        self._guard.settle(ticket, commands, replies)
        return replies

    def close(self) -> None:
        """Close the connections; the link may be used again and opens new ones then."""
        for listener in self._listeners.values():
            listener.close()
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the link."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close the connections."""
        self.close()
