"""What hears the server's announcements for an asyncio link: one task, one connection to each master.

Each event loop has its own. The task starts with the first watcher or bell, and ends when nobody has listened
for a while, or with its loop.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from scalekit.redis._audience import Audience, Bell
from scalekit.redis._listener import LINGER, pause_after, tell_refusal
from scalekit.redis._masters import TOPOLOGY, Asked, OneMaster, Unknown, masters_of
from scalekit.redis._session import NEVER, Session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from scalekit.redis._audience import Watcher

_AT_ONCE = 65_536


class AsyncListener:
    """Tells watchers of changes and rings bells, as `Listener` does, on the event loop that first used it."""

    def __init__(self, client: Any, *, cluster: bool, timeout: float) -> None:
        self._cluster = cluster
        self._timeout = timeout
        self._masters = masters_of(client, cluster=cluster, timeout=timeout, asynchronous=True)
        self._audience: Audience[asyncio.Event] = Audience()
        self.error: Exception | None = None
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ears: list[Any] = []
        self._needed_until = 0.0

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of changes, from when it hears that a session has begun. Cheap where it is told."""
        if self._audience.join(watcher):
            self._stirred.set()
        if self._task is None:
            self._start()

    @asynccontextmanager
    async def bell(self, channel: bytes) -> AsyncGenerator[Bell[asyncio.Event]]:
        """Give a bell that rings when something is published on `channel`, for as long as the block runs."""
        bell = Bell(asyncio.Event)
        self._audience.hang(channel, bell)
        self._needed_until = time.monotonic() + LINGER
        try:
            self._stirred.set()
            if self._task is None:
                self._start()
            yield bell
        finally:
            self._audience.take_down(channel, bell)
            self._stirred.set()

    async def aclose(self) -> None:
        """End the task and close its connections; who listens after that starts another."""
        task = self._task
        self._needed_until = 0.0
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="scalekit listener")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while not self._deserted():
            session = None
            try:
                session = await self._opened()
                _heed_cancellation()
                await self._listen(session)
                failures = 0
                continue
            except Exception as error:  # noqa: BLE001  # whatever it is, it ends the session and not the task
                tell_refusal(error, self.error)
                self.error = error
            finally:
                await self._end(session)
            _heed_cancellation()
            failures = 0 if session is not None and session.proven != NEVER else failures + 1
            await asyncio.sleep(pause_after(failures))
        self._task = None  # here, and not when it is done: who listens from now on must start another

    async def _end(self, session: Session | None) -> None:
        if session is not None:
            with self._audience.telling:
                session.end()
        while self._ears:
            await _shut(self._ears.pop())
        await self._leave_sentinels()

    async def _leave_sentinels(self) -> None:
        for sentinel in self._masters.sentinels:
            with suppress(Exception):
                await sentinel.connection_pool.disconnect()

    async def _opened(self) -> Session:
        for make in await self._makers():
            ear = make()
            self._ears.append(ear)
            async with asyncio.timeout(self._timeout):
                await ear.connect()
        await self._leave_sentinels()
        session = Session(self._audience, masters=len(self._ears), in_cluster=self._cluster)
        for number, ear in enumerate(self._ears):
            ear.channel[1].write(session.opening(number, time.monotonic()))
        return session

    async def _makers(self) -> Sequence[Any]:
        masters = self._masters
        if isinstance(masters, OneMaster):
            return [masters.make]
        failure: Exception = Unknown("no node of the cluster is known")
        for seed in masters.seeds():
            ear = masters.at(*seed)
            try:
                async with asyncio.timeout(self._timeout):
                    await ear.connect()
                    ear.channel[1].write(TOPOLOGY)
                    asked = Asked(seed)
                    while not asked.heard(await ear.channel[0].read(_AT_ONCE)):
                        pass
                return masters.makers(asked)
            except Exception as error:  # noqa: BLE001  # another node may know
                failure = error
            finally:
                await _shut(ear)
        raise failure

    async def _listen(self, session: Session) -> None:
        """Hear until nobody listens any more, or another session is needed; raises what ends this one."""
        loop = asyncio.get_running_loop()
        readers = [loop.create_task(self._hear(session, number)) for number in range(len(self._ears))]
        try:
            while session.suits() and not self._deserted():
                with self._audience.telling:
                    outgoing = list(session.outgoing(time.monotonic()))
                for number, data in outgoing:
                    self._ears[number].channel[1].write(data)
                self._stirred.clear()
                timer = loop.call_later(session.pause(time.monotonic()), self._stirred.set)
                try:
                    await self._stirred.wait()
                finally:
                    timer.cancel()
                # A late loop has had no chance yet to read what lies in the sockets: not the server's fault.
                for _ in range(2):
                    await asyncio.sleep(0)
                for reader in readers:
                    if reader.done():
                        reader.result()
                session.check(time.monotonic())
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    def _deserted(self) -> bool:
        audience = self._audience
        return time.monotonic() >= self._needed_until and not (audience.watchers() or audience.channels())

    async def _hear(self, session: Session, number: int) -> None:
        reader = self._ears[number].channel[0]
        try:
            while True:
                data = await reader.read(_AT_ONCE)
                with self._audience.telling:
                    session.heard(number, data)
                self._stirred.set()  # another probe may be due earlier than its answer would have been
        finally:
            self._stirred.set()


def _heed_cancellation() -> None:
    """Raise the cancellation of this task that something awaited has swallowed.

    On Python 3.11 a connection may come about although its task was cancelled meanwhile; nobody would end the
    task then, and its event loop could not be closed.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _shut(ear: Any) -> None:
    with suppress(Exception):
        # Not in the orderly way of TLS, which waits for the server, and outlives the loop if that is silent.
        ear.channel[1].transport.abort()
    with suppress(Exception):
        await ear.disconnect(nowait=True)
