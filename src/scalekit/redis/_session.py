"""A session: the conversation over one connection to each master, from its opening to the first trouble.

This file opens no connection and reads no clock: bytes and instants are handed in, bytes are returned. It
knows three things of the server:

* After `CLIENT TRACKING ON BCAST` it announces every change of a name with one of the prefixes, whoever made
  it and however: a command, a script, an expiry, an eviction, FLUSHALL ("everything").
* It announces a change before it answers who made it, and sends what it announces and its replies in order.
  So the reply to a *probe* proves that each change which took effect before the probe was sent, as far as its
  author could know, has been heard: after that instant nothing is missing.
* A probe that changes nothing but must be carried out by a master finds out more than PING does: a server
  that was demoted refuses it. In a cluster `CLUSTER INFO` tells whether a failover or a move of slots has
  begun a new epoch, or a node has come or gone. Then it is unknown who announces what, and the session ends.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from scalekit.redis._resp3 import Push, Reader, Refusal, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalekit.redis._audience import Audience, Watcher

NEVER = float("-inf")
_IDLE_INTERVAL = 1.0
_PATIENCE = 2.0
"""Seconds for which a probe may stay unanswered; then the connection is taken for dead."""

_IN_CLUSTER = (b"cluster_state", b"cluster_known_nodes", b"cluster_current_epoch", b"cluster_my_epoch")
_EPOCH = b"cluster_current_epoch"


class Broken(Exception):
    """The session is over: a connection is of no more use, or nobody knows who announces what."""


class Refused(Broken):
    """The server does not allow what a session needs; it may go on refusing."""


class _Line:
    """The conversation over one connection."""

    def __init__(self) -> None:
        self.reader = Reader()
        # What replies are still to come, in their order: a kind, and what belongs to it.
        self.expected: deque[tuple[str, Any]] = deque()
        self.asked: set[bytes] = set()
        self.confirmed: set[bytes] = set()
        self.sign: dict[bytes, bytes] | None = None
        self.proven = NEVER
        self.probed = NEVER
        self.probing = False


class Session:
    """What is heard over the connections to all masters; the first carries the channels, too."""

    def __init__(self, audience: Audience[Any], *, masters: int, in_cluster: bool) -> None:
        self._audience = audience
        self._lines = [_Line() for _ in range(masters)]
        self._in_cluster = in_cluster
        self._prefixes = _prefixes(audience)
        self._begun: WeakSet[Watcher] = WeakSet()
        self.proven = NEVER

    def suits(self) -> bool:
        """Whether it hears what everybody wants to hear, and no more; else another has to be opened."""
        return _prefixes(self._audience) == self._prefixes

    def opening(self, number: int, now: float) -> bytes:
        """Return the first bytes to send over the connection with this number."""
        line = self._lines[number]
        commands: list[tuple[bytes, ...]] = [(b"HELLO", b"3")]
        line.expected.append(("opening", None))
        if self._prefixes:
            words = [word for prefix in sorted(self._prefixes) for word in (b"PREFIX", prefix)]
            commands.append((b"CLIENT", b"TRACKING", b"ON", b"BCAST", *words))
            line.expected.append(("opening", None))
        return packed(*commands) + self._probe(line, now)

    def outgoing(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield what is to be sent now, and over which connection."""
        self._publish()
        wanted = self._audience.channels()
        for number, line in enumerate(self._lines):
            data = b""
            if number == 0:
                data = self._channels(line, wanted)
            if not line.probing and now >= line.probed + self._interval():
                data += self._probe(line, now)
            if data:
                yield number, data

    def pause(self, now: float) -> float:
        """Return the seconds until there is something to be sent, or to be given up."""
        due = [line.probed + (_PATIENCE if line.probing else self._interval()) for line in self._lines]
        return max(0.0, min(due) - now)

    def check(self, now: float) -> None:
        """Raise `Broken` if a server has been silent for too long."""
        for line in self._lines:
            if line.probing and now >= line.probed + _PATIENCE:
                raise Broken(f"no answer within {_PATIENCE:g} s")

    def heard(self, number: int, data: bytes) -> None:
        """Take in what came over a connection; `Broken` if that ends the session."""
        if not data:
            raise Broken("the server has closed the connection")
        line = self._lines[number]
        try:
            for message in line.reader.feed(data):
                if isinstance(message, Push):
                    self._announced(line, message)
                else:
                    self._replied(line, message)
        except ValueError as error:
            raise Broken(str(error)) from error

    def end(self) -> None:
        """Tell everybody that it is over."""
        self._audience.lost(self)

    def _interval(self) -> float:
        return min((watcher.interval for watcher in self._audience.watchers()), default=_IDLE_INTERVAL)

    def _probe(self, line: _Line, now: float) -> bytes:
        line.probed, line.probing = now, True
        line.expected.append(("probe", now))
        if self._in_cluster:
            return packed((b"CLUSTER", b"INFO"))
        # The prefix itself is nobody's name, so there is nothing to unlink.
        return packed((b"UNLINK", min(self._prefixes)) if self._prefixes else (b"PING",))

    def _channels(self, line: _Line, wanted: frozenset[bytes]) -> bytes:
        new, old = wanted - line.asked, line.asked - wanted
        commands = [(b"SUBSCRIBE", channel) for channel in new] + [
            (b"UNSUBSCRIBE", channel) for channel in old
        ]
        line.expected += [("channel", channel) for _, channel in commands]
        line.asked ^= new | old
        line.confirmed -= old
        for channel in wanted & line.confirmed:
            self._audience.arm(channel)  # bells that came late
        return packed(*commands)

    def _announced(self, line: _Line, message: Push) -> None:
        kind, rest = message[0], message[1:]
        if kind == b"invalidate":
            names: Any = rest[0]
            self._audience.changed(names)
        elif kind in {b"subscribe", b"unsubscribe"}:
            channel: Any = rest[0]
            expected = _expect(line, "channel")
            if channel in line.asked and expected not in line.expected:  # else something later was asked for
                line.confirmed.add(channel)
                self._audience.arm(channel)
        elif kind == b"message":
            channel = rest[0]
            self._audience.ring(channel)

    def _replied(self, line: _Line, reply: Any) -> None:
        if line.expected and line.expected[0][0] == "channel" and isinstance(reply, Refusal):
            line.expected.popleft()  # not permitted: its bells stay silent
            return
        kind, of = _expect(line, "opening", "probe")
        if isinstance(reply, Refusal):
            raise Refused(str(reply))
        if kind == "probe":
            line.probing = False
            self._check_sign(line, reply)
            line.proven = of
            self.proven = min(each.proven for each in self._lines)
            self._publish()

    def _check_sign(self, line: _Line, reply: Any) -> None:
        """Raise `Broken` if `reply` shows that the cluster is not well, or no longer what it was."""
        if not self._in_cluster:
            return
        fields = dict(row.split(b":", 1) for row in reply.split(b"\r\n") if b":" in row)
        sign = {name: fields.get(name, b"") for name in _IN_CLUSTER}
        if sign[b"cluster_state"] != b"ok":
            raise Broken("the cluster is not well")
        # Masters that do not agree on the epoch have not all heard of the latest failover.
        others = [other.sign[_EPOCH] for other in self._lines if other.sign is not None]
        if sign != (line.sign or sign) or any(epoch != sign[_EPOCH] for epoch in others):
            raise Broken("the cluster has changed")
        line.sign = sign

    def _publish(self) -> None:
        if self.proven == NEVER:
            return
        for watcher in self._audience.watchers():
            if watcher.prefixes <= self._prefixes:
                if watcher not in self._begun:
                    self._begun.add(watcher)
                    watcher.begun(self)
                watcher.proven(self, self.proven)


def _prefixes(audience: Audience[Any]) -> frozenset[bytes]:
    return frozenset[bytes]().union(*(watcher.prefixes for watcher in audience.watchers()))


def _expect(line: _Line, *kinds: str) -> tuple[str, Any]:
    if not line.expected or line.expected[0][0] not in kinds:
        raise Broken("a reply that was not asked for")
    return line.expected.popleft()
