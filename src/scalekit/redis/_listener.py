"""What hears the server's announcements for a blocking link: one thread, one connection to each master.

The thread starts with the first watcher or bell, never at import or in a constructor, and ends when nobody
has listened for a while. A forked child starts its own.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from scalekit.redis._audience import Audience, Bell
from scalekit.redis._masters import TOPOLOGY, Asked, OneMaster, Unknown, masters_of
from scalekit.redis._session import NEVER, Refused, Session

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from scalekit.redis._audience import Watcher

LINGER = 30.0
"""Seconds for which the connections stay open after the last bell."""
_AT_ONCE = 65_536
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ENDING = 2.0


def pause_after(failures: int) -> float:
    """Return how many seconds to wait after so many sessions in a row that came to nothing."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def tell_refusal(error: Exception, before: Exception | None) -> None:
    """Log that the server refuses to be listened at, unless it did so `before`.

    An outage is the breaker's to tell; of a missing permission nobody else would.
    """
    if not isinstance(error, Refused) or isinstance(before, Refused):
        return
    import logging  # noqa: PLC0415  # costs import time that only a refusal should pay

    text = "Redis does not let us listen to its announcements (%s): near tiers stay unused"
    logging.getLogger("scalekit").warning(text, error)


class Listener:
    """Tells watchers of changes and rings bells, as long as anybody listens. Safe to share between threads.

    It connects as the link's client would. No error of it is ever raised to those who listen: they hear that
    a session is lost, and that another has begun. Then it tries again after 25 to 50 ms, and less and less
    often, once a second in the end. `error` is what ended the latest session.
    """

    def __init__(self, client: Any, *, cluster: bool, timeout: float) -> None:
        self._cluster = cluster
        self._timeout = timeout
        self._masters = masters_of(client, cluster=cluster, timeout=timeout, asynchronous=False)
        self._audience: Audience[threading.Event] = Audience()
        self.error: Exception | None = None
        self._reset()
        _alive.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stirring: socket.socket | None = None
        self._ears: list[Any] = []
        self._closing = False
        self._needed_until = 0.0

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of changes, from when it hears that a session has begun. Cheap where it is told."""
        if self._audience.join(watcher):
            self._stir()
        if self._thread is None:
            self._start()

    @contextmanager
    def bell(self, channel: bytes) -> Generator[Bell[threading.Event]]:
        """Give a bell that rings when something is published on `channel`, for as long as the block runs."""
        bell = Bell(threading.Event)
        self._audience.hang(channel, bell)
        self._needed_until = time.monotonic() + LINGER
        try:
            self._stir()
            if self._thread is None:
                self._start()
            yield bell
        finally:
            self._audience.take_down(channel, bell)
            self._stir()

    def close(self) -> None:
        """End the thread and close its connections; who listens after that starts another."""
        with self._lock:
            thread = self._thread
            self._closing = thread is not None
            self._needed_until = 0.0
        self._stir()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ENDING + self._timeout)

    def forked(self) -> None:
        """Begin anew in the child of a fork, which has its parent's sockets and not its threads."""
        for ear in self._ears:
            # Without a shutdown, for it is the parent's connection. But left open it would stay up for the
            # server when the parent is gone, and fill with announcements that nobody reads.
            with suppress(Exception):
                ear.disconnect()
        if self._stirring is not None:
            self._stirring.close()
        self._reset()

    def _stir(self) -> None:
        """Have the thread look at what has changed."""
        stirring = self._stirring
        if stirring is not None:
            with suppress(OSError):  # closed meanwhile, or so many bytes lie there that one more is no news
                stirring.send(b"\0")

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            stirring, stirred = socket.socketpair()
            for end in (stirring, stirred):
                end.setblocking(False)
            self._stirring = stirring
            self._closing = False
            self._thread = threading.Thread(
                target=self._run, args=(stirring, stirred), name="scalekit listener", daemon=True
            )
            self._thread.start()

    def _over(self, stirring: socket.socket) -> bool:
        """Return whether nobody listens any more; if so, the next who does starts another thread."""
        with self._lock:
            listening = self._audience.watchers() or self._audience.channels()
            if not self._closing and (listening or time.monotonic() < self._needed_until):
                return False
            if self._stirring is stirring:
                self._stirring = self._thread = None
            return True

    def _run(self, stirring: socket.socket, stirred: socket.socket) -> None:
        failures = 0
        with stirring, stirred:
            while not self._over(stirring):
                session = None
                try:
                    session = self._opened()
                    self._listen(session, stirred)
                    failures = 0
                    continue
                except Exception as error:  # noqa: BLE001  # whatever it is, it ends the session and not the thread
                    tell_refusal(error, self.error)
                    self.error = error
                finally:
                    self._end(session)
                failures = 0 if session is not None and session.proven != NEVER else failures + 1
                self._rest(pause_after(failures), stirred)

    def _end(self, session: Session | None) -> None:
        if session is not None:
            with self._audience.telling:
                session.end()
        while self._ears:
            with suppress(Exception):
                self._ears.pop().disconnect()
        self._leave_sentinels()

    def _leave_sentinels(self) -> None:
        for sentinel in self._masters.sentinels:
            with suppress(Exception):
                sentinel.connection_pool.disconnect()

    def _rest(self, seconds: float, stirred: socket.socket) -> None:
        """Wait, but no longer than until the listener is closed."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stirred, selectors.EVENT_READ)
            while not self._closing and (left := until - time.monotonic()) > 0:
                if selector.select(left):
                    _drain(stirred)

    def _opened(self) -> Session:
        for make in self._makers():
            ear = make()
            self._ears.append(ear)
            ear.connect()
        self._leave_sentinels()
        session = Session(self._audience, masters=len(self._ears), in_cluster=self._cluster)
        for number, ear in enumerate(self._ears):
            ear.channel.settimeout(self._timeout)
            ear.channel.sendall(session.opening(number, time.monotonic()))
        return session

    def _makers(self) -> Sequence[Any]:
        masters = self._masters
        if isinstance(masters, OneMaster):
            return [masters.make]
        failure: Exception = Unknown("no node of the cluster is known")
        for seed in masters.seeds():
            ear = masters.at(*seed)
            try:
                ear.connect()
                ear.channel.settimeout(self._timeout)
                ear.channel.sendall(TOPOLOGY)
                asked = Asked(seed)
                while not asked.heard(ear.channel.recv(_AT_ONCE)):
                    pass
                return masters.makers(asked)
            except Exception as error:  # noqa: BLE001  # another node may know
                failure = error
            finally:
                ear.disconnect()
        raise failure

    def _listen(self, session: Session, stirred: socket.socket) -> None:
        """Hear until nobody listens any more, or another session is needed; raises what ends this one."""
        with selectors.DefaultSelector() as selector:
            selector.register(stirred, selectors.EVENT_READ)
            for number, ear in enumerate(self._ears):
                selector.register(ear.channel, selectors.EVENT_READ, number)
            while session.suits() and not self._closing and not self._deserted():
                with self._audience.telling:
                    outgoing = list(session.outgoing(time.monotonic()))
                for number, data in outgoing:
                    self._ears[number].channel.sendall(data)
                for key, _ in selector.select(session.pause(time.monotonic())):
                    if key.data is None:
                        _drain(stirred)
                    else:
                        self._hear(session, key.data)
                # What lay in the sockets has been read: this thread's own delays are not the server's.
                session.check(time.monotonic())

    def _deserted(self) -> bool:
        audience = self._audience
        return time.monotonic() >= self._needed_until and not (audience.watchers() or audience.channels())

    def _hear(self, session: Session, number: int) -> None:
        channel = self._ears[number].channel
        while True:
            data = channel.recv(_AT_ONCE)
            with self._audience.telling:
                session.heard(number, data)
            # TLS may have decrypted more than was asked for, which no selector sees.
            pending = getattr(channel, "pending", None)
            if pending is None or not pending():
                return


def _drain(stirred: socket.socket) -> None:
    with suppress(BlockingIOError):
        while stirred.recv(_AT_ONCE):
            pass


_alive: WeakSet[Listener] = WeakSet()


def _in_child() -> None:
    for listener in list(_alive):
        listener.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
