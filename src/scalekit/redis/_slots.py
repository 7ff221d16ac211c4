"""Which node of a Redis Cluster has a key, and where a command goes next that was sent elsewhere.

This file knows no connections. A `SlotMap` is what one node said of the cluster; it may be outdated at any
time, and the nodes say so: MOVED (that slot is mine no more) or ASK (this key has moved already, its slot
follows). https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

import random
from binascii import crc_hqx
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from scalekit._extras import require
from scalekit.redis._packed import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from scalekit.redis._packed import Command

Address: TypeAlias = "tuple[str, int]"
"""Host and port of a node."""

_SLOTS = 16_384
_MOST_TURNS = 5
"""How often a command may be sent elsewhere: redis-py allows 16, and a deadline allows few."""

# Commands whose keys we know without asking the server. All others go by way of redis-py.
_ONE_KEY = frozenset({"DECRBY", "EXPIRE", "GET", "GETEX", "INCR", "INCRBY", "PEXPIRE", "PTTL", "SET", "TTL"})
_ALL_KEYS = frozenset({"DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"})
_COUNTED_KEYS = frozenset({"EVAL", "EVALSHA"})


@lru_cache(8_192)
def slot_of_key(key: bytes) -> int:
    """Return the slot of `key`: of what is between its first { and the next }, if anything is."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % _SLOTS


def slot_of(command: Command) -> int | None:
    """Return the slot that `command` belongs to; None if we do not know its keys or they have several."""
    if isinstance(command, Packed):
        return slot_of_key(command.key)
    name = command[0]
    if name in _ONE_KEY:
        keys = command[1:2]
    elif name in _ALL_KEYS:
        keys = command[1:]
    elif name in _COUNTED_KEYS and len(command) > _BEFORE_KEYS and isinstance(command[2], int):
        keys = command[_BEFORE_KEYS : _BEFORE_KEYS + command[2]]
    else:
        return None
    if not all(isinstance(key, (str, bytes)) for key in keys):
        return None
    try:
        slots = {slot_of_key(key.encode() if isinstance(key, str) else key) for key in keys}
    except UnicodeEncodeError:
        return None
    return slots.pop() if len(slots) == 1 else None


_BEFORE_KEYS = 3  # EVAL, the script, and how many keys there are


class SlotMap:
    """Who has which slot, as the node `asked` said in `reply` to CLUSTER SLOTS.

    Replaced as a whole, but for single slots of which a node said MOVED. `remap` is redis-py's
    `address_remap`: from the addresses that nodes give each other to those at which we reach them.
    """

    def __init__(
        self, reply: Sequence[Any] = (), asked: Address = ("", 0), remap: Callable[[Any], Any] | None = None
    ) -> None:
        self._remap = remap
        self._owners: list[Address | None] = [None] * _SLOTS
        nodes: dict[Address, None] = {}
        for first, last, *members in reply:  # the master is the first
            addresses = [self.reached(_text(member[0]), int(member[1]), asked) for member in members]
            nodes |= dict.fromkeys(addresses)
            self._owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
        self.nodes = tuple(nodes)
        """Every node that was named, replicas included: whom to ask when a master is gone."""

    def reached(self, host: str, port: int, asked: Address) -> Address:
        """Return the address of what a node calls `host`: itself, if it does not know how it is reached."""
        address = (asked[0] if host in {"", "?"} else host, port)
        return address if self._remap is None else self._remap(address)

    def owner(self, slot: int) -> Address | None:
        """Return the master of `slot`, None if nobody serves it."""
        return self._owners[slot]

    def moved(self, slot: int, address: Address) -> None:
        """Take note that `slot` is at `address` now."""
        self._owners[slot] = address


def _text(given: bytes | str | None) -> str:
    return given.decode() if isinstance(given, bytes) else given or ""


def in_turn(
    connected: Iterable[Address], known: Iterable[Address], avoid: Collection[Address]
) -> Iterator[tuple[Address, float]]:
    """Yield whom to ask for the slots, and which share of the time that is left each may take.

    Those that we are `connected` to come first, for to connect takes several times as long as to ask, and
    those to `avoid` last. One that hangs must not keep us from asking another; the last may take all.
    """
    first, second = list(connected), list(known)
    for some in (first, second):
        random.shuffle(some)  # not every client the same one
    everyone = sorted(dict.fromkeys([*first, *second]), key=lambda address: address in avoid)
    for place, address in enumerate(everyone, start=1):
        yield address, _EACH if place < len(everyone) else 1.0


_EACH = 0.6


class Redirection(NamedTuple):
    """Where a node says a command belongs; `asking`, if only this once."""

    slot: int
    host: str
    port: int
    asking: bool


def redirection(error: Exception) -> Redirection | None:
    """Return where the error reply `error` sends its command; None if it is another error."""
    errors = require("redis.exceptions", extra="redis", needed_by="RedisLink")
    text = str(error)
    # Parsers that were told of clusters cut off the word and give the error a class of its own.
    if isinstance(error, errors.MovedError):
        text = f"MOVED {text}"
    elif isinstance(error, errors.AskError):
        text = f"ASK {text}"
    word, _, rest = text.partition(" ")
    if word not in {"ASK", "MOVED"}:
        return None
    slot, _, where = rest.partition(" ")
    host, _, port = where.rpartition(":")
    return Redirection(int(slot), host, int(port), word == "ASK")


class Scatter:
    """The commands of one call on their way through a cluster.

    Send what `errands()` gives to each node, hand every reply to `take`, and begin again while there are
    errands. `others` are the places of commands whose slot we cannot tell, `orphans` of those whose slot
    nobody serves.
    """

    def __init__(self, slots: SlotMap, commands: Sequence[Command]) -> None:
        self._slots = slots
        self._commands = commands
        self._turns = 0
        self._next: dict[Address, list[tuple[int, bool]]] = {}
        self.replies: list[Any] = [None] * len(commands)
        self.others: list[int] = []
        self.orphans: list[int] = []
        for place, command in enumerate(commands):
            slot = slot_of(command)
            if slot is None:
                self.others.append(place)
                continue
            owner = slots.owner(slot)
            if owner is None:
                self.orphans.append(place)
            else:
                self._next.setdefault(owner, []).append((place, False))

    def leads_to(self, addresses: Collection[Address]) -> bool:
        """Tell whether any of `addresses` is to be sent something."""
        return not self._next.keys().isdisjoint(addresses)

    def errands(self) -> list[Errand]:
        """Return what is to be sent now, by node. Sorted, so that two calls never wait for each other."""
        due, self._next = self._next, {}
        self._turns += 1
        return [Errand(address, entries, self._commands) for address, entries in sorted(due.items())]

    def take(self, place: int, reply: Any, address: Address) -> bool:
        """Note the reply of the node at `address`; False if the command goes elsewhere now."""
        if isinstance(reply, Exception) and self._turns < _MOST_TURNS:
            told = redirection(reply)
            if told is not None:
                target = self._slots.reached(told.host, told.port, address)
                if not told.asking:
                    self._slots.moved(told.slot, target)
                self._next.setdefault(target, []).append((place, told.asking))
                return False
        self.replies[place] = reply
        return True


class Errand:
    """What one node is sent: `commands`, and for each the place of its call, -1 for an ASKING before it."""

    __slots__ = ("address", "commands", "places")

    def __init__(
        self, address: Address, entries: Sequence[tuple[int, bool]], commands: Sequence[Command]
    ) -> None:
        self.address = address
        self.commands: list[Command] = []
        self.places: list[int] = []
        for place, asking in entries:
            if asking:
                self.commands.append(("ASKING",))
                self.places.append(-1)
            self.commands.append(commands[place])
            self.places.append(place)
