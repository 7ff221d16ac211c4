"""Auto-pipelining: the commands that tasks issue in one tick of the event loop travel together.

A batch is what was issued in one tick: commands, a future for each, and one timer, since they all
began together. A run takes the batches that wait, sends them on one connection, and resolves their
futures as the replies come in. While all runs are busy batches wait, and the next run takes them all:
load makes pipelines longer instead of connections more.

Futures are resolved with values only, an error being a value, too: so the error of a call that was
cancelled is never "never retrieved", and callers never share one exception's traceback.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalekit.redis._failure import Closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.redis._packed import Command
    from scalekit.redis._transport import AsyncTransport

_MOST_RUNS = 8
"""Connections in use at once. More gain nothing: one run keeps the loop busy with its replies."""


class _Batch:
    __slots__ = ("commands", "replies", "run", "timer")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.replies: list[asyncio.Future[Any]] = []
        self.timer: asyncio.TimerHandle | None = None
        self.run: asyncio.Task[None] | None = None

    def resolve(self, value: object) -> None:
        """Give `value` to every caller that still waits."""
        for reply in self.replies:
            if not reply.done():
                reply.set_result(value)


class Batches:
    """The pipelines of one event loop to one server."""

    def __init__(self, transport: AsyncTransport, *, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._open: _Batch | None = None
        self._waiting: list[_Batch] = []
        self._runs: dict[asyncio.Task[None], list[_Batch]] = {}

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Add `command` to this tick's batch and return the future of its reply.

        Where there is no reply the result is the error in its place. To cancel the future disturbs no
        other command; its own may have been sent by then.
        """
        batch = self._open
        if batch is None:
            batch = self._open = _Batch()
            batch.timer = self._loop.call_later(self._timeout, self._expire, batch)
            self._loop.call_soon(self._seal)
        reply: asyncio.Future[Any] = self._loop.create_future()
        batch.commands.append(command)
        batch.replies.append(reply)
        return reply

    def _seal(self) -> None:
        """End the tick's batch, and send it unless all runs are busy."""
        if self._open is not None:
            self._waiting.append(self._open)
            self._open = None
        if self._waiting and len(self._runs) < _MOST_RUNS:
            batches, self._waiting = self._waiting, []
            run = self._loop.create_task(self._run(batches))
            self._runs[run] = batches
            for batch in batches:
                batch.run = run
            run.add_done_callback(self._ended)

    async def _run(self, batches: Sequence[_Batch]) -> None:
        commands = [command for batch in batches for command in batch.commands]
        replies = [reply for batch in batches for reply in batch.replies]

        def deliver(index: int, value: object) -> None:
            if not replies[index].done():
                replies[index].set_result(value)

        await self._transport.exchange(commands, deliver)

    def _ended(self, run: asyncio.Task[None]) -> None:
        # Here and not in a `finally` of the run: a task cancelled before its first step never runs.
        outcome = Closed() if run.cancelled() else run.exception()
        for batch in self._runs.pop(run):
            if batch.timer is not None:
                batch.timer.cancel()
            batch.resolve(outcome or RuntimeError("the transport delivered no reply"))
        self._seal()

    def _expire(self, batch: _Batch, grace: int = 2) -> None:
        if grace:
            # When the loop itself was late, replies lie in the socket that the run had no chance to read:
            # one tick brings them to it, the next lets it read them. Else every stall would open the breaker.
            batch.timer = None
            self._loop.call_soon(self._expire, batch, grace - 1)
            return
        batch.resolve(TimeoutError())
        if batch.run is None:
            self._waiting = [other for other in self._waiting if other is not batch]
        elif all(reply.done() for other in self._runs.get(batch.run, ()) for reply in other.replies):
            batch.run.cancel()  # nobody waits for it any more, and its server may be frozen

    async def close(self) -> None:
        """Fail what waits, cancel what runs, and close the connections."""
        self._seal()
        for batch in self._waiting:
            batch.resolve(Closed())
        self._waiting = []
        runs = list(self._runs)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        await self._transport.close()
