"""The asyncio link."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.redis import _own
from scalekit.redis._async_cluster import AsyncCluster
from scalekit.redis._async_connections import AsyncConnections
from scalekit.redis._batches import Batches
from scalekit.redis._guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from types import TracebackType
    from typing import Self

    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from scalekit._breaker import State
    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.redis._async_listener import AsyncListener
    from scalekit.redis._packed import Command
    from scalekit.redis._transport import AsyncTransport


class AsyncRedisLink:
    """One connection to Redis or Valkey for every async store on it: one deadline, one circuit breaker.

    `client` is a `redis.asyncio` client: `Redis` (also a Sentinel master) or `RedisCluster`. It is read, not
    used: the link opens its own connections to the same address with the same credentials, so that its
    time-outs hold whatever the client was configured with.

    The commands that any number of tasks issue in one tick of the event loop are sent as one pipeline (on
    a cluster, one to each master). A cancelled call disturbs no other; its command may have been
    sent, and may take effect.

    `timeout` (default 50 ms) bounds a whole call: connecting, the handshake, the command and its reply.
    Nothing is retried, reads included. After `breaker_failures` failed calls in a row (default 3) the breaker
    opens: calls are refused at once, and every `breaker_reset` (default 1 second) exactly one of them is let
    through to see whether the server is back. An error that the server sends as its reply is no failure in
    this sense.

    May be used from several event loops, in turn or at once in several threads: each has its own
    connections, which close when `asyncio.run` ends, and all share the breaker. `clock` (default
    `time.monotonic`) drives the breaker alone; `on_event` gets a `LinkEvent` when the breaker changes its
    state. That it opens and closes is also logged, by the logger "scalekit".

    Raises `ConfigurationError` for anything that is no such client, and for options out of their range.

    On a cluster only masters are asked, and each has 0.6 of `timeout` to answer. After one did not, the next
    call that would lead to it asks the others first who serves its slots now.

    Worst case: a call takes `timeout`, plus what the event loop is late.
    """

    def __init__(
        self,
        client: AsyncRedis | AsyncRedisCluster,
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
        self._cluster = _own.is_cluster(client, asynchronous=True)
        self._client = client
        self._transport()  # for the check alone: options that cannot work are refused here, not by every call
        self._loops: dict[asyncio.AbstractEventLoop, tuple[Batches, AsyncGenerator[None, None]]] = {}
        self._latest: tuple[asyncio.AbstractEventLoop | None, Batches | None] = (None, None)
        self._listeners: dict[asyncio.AbstractEventLoop, AsyncListener] = {}

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
        aredis = require("redis.asyncio", extra="redis", needed_by="AsyncRedisLink")
        return cls(
            _own.from_url(aredis.Redis, url),
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
        return self._cluster

    @property
    def state(self) -> State:
        """The circuit breaker's state: "closed", "open" or "half-open"."""
        return self._guard.state

    @property
    def listener(self) -> AsyncListener:
        """What hears, on this event loop, what the server announces; for stores."""
        listener = self._listeners.get(asyncio.get_running_loop())
        return self._new_listener() if listener is None else listener

    def _new_listener(self) -> AsyncListener:
        from scalekit.redis._async_listener import AsyncListener  # noqa: PLC0415  # as in the sync link

        self._here()  # closes it with the loop
        listener = AsyncListener(self._client, cluster=self._cluster, timeout=self._guard.timeout)
        self._listeners[asyncio.get_running_loop()] = listener
        return listener

    async def execute(self, *command: Any) -> Any:
        """Send one command and return its reply, as redis-py's `execute_command` returns it.

        Raises `BackendTimeout` when no answer came within the deadline, `BackendUnavailable` when the breaker
        is open, `BackendError` for a failed connection or an error reply, and `ConfigurationError` for what
        cannot be sent at all: no command's name, or an argument that redis-py does not encode.
        """
        return (await self.pipeline((command,)))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
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
        try:
            submit = self._here().submit
            replies = [await reply for reply in [submit(command) for command in commands]]
        except BaseException as error:  # noqa: BLE001  # accounted for there, and raised
            self._guard.fail(ticket, commands, error)
        self._guard.settle(ticket, commands, replies)
        return replies

    def _transport(self) -> AsyncTransport:
        return (AsyncCluster if self._cluster else AsyncConnections)(
            self._client, timeout=self._guard.timeout
        )

    def _here(self) -> Batches:
        """Return the pipelines of the running event loop."""
        loop = asyncio.get_running_loop()
        latest_loop, latest = self._latest
        if latest is not None and latest_loop is loop:
            return latest
        known = self._loops.get(loop)
        if known is None:
            for other in [other for other in list(self._loops) if other.is_closed()]:
                self._loops.pop(other, None)
                self._listeners.pop(other, None)
            batches = Batches(self._transport(), timeout=self._guard.timeout)
            known = self._loops[loop] = (batches, self._closer(loop, batches))
            # Runs it up to its yield, and makes it known to the loop's shutdown_asyncgens.
            with contextlib.suppress(StopIteration):
                known[1].asend(None).send(None)
        self._latest = (loop, known[0])
        return known[0]

    async def _closer(self, loop: asyncio.AbstractEventLoop, batches: Batches) -> AsyncGenerator[None, None]:
        """Close the loop's connections when it is finalized, the one hook asyncio has for its end.

        `asyncio.run` ends every generator that is still suspended while the loop can yet run them. Without
        it the sockets would outlive their loop, and could not be closed any more.
        """
        try:
            yield
        finally:
            self._loops.pop(loop, None)
            self._latest = (None, None)
            listener = self._listeners.pop(loop, None)
            if listener is not None:
                await listener.aclose()
            await batches.close()

    async def aclose(self) -> None:
        """Close this event loop's connections; calls under way fail. The link may be used again."""
        known = self._loops.get(asyncio.get_running_loop())
        if known is not None:
            await known[1].aclose()

    async def __aenter__(self) -> Self:
        """Return the link."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        """Close this event loop's connections."""
        await self.aclose()
