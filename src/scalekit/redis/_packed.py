"""Commands as the bytes that go over the wire.

redis-py packs a command anew for every call, which costs a tenth of an MGET of four names and half of one of
two hundred. Who sends the same names again and again keeps their bytes and puts commands together of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


class Packed:
    """A command in RESP, the protocol of Redis. Its reply comes back as the server sent it.

    `name` is what errors call it. `key` says where on a cluster it belongs: one of its keys, which must all
    lie in one slot.
    """

    __slots__ = ("key", "name", "wire")

    def __init__(self, name: str, key: bytes, wire: bytes) -> None:
        self.name = name
        self.key = key
        self.wire = wire


Command: TypeAlias = "tuple[Any, ...] | Packed"


def name_of(command: Command) -> Any:
    """Return the name of `command`, as its caller gave it."""
    return command.name if isinstance(command, Packed) else command[0]


def packed(connection: Any, commands: Sequence[Command]) -> Any:
    """Return what to send over a redis-py connection, which packs those commands that are not packed yet."""
    if not any(isinstance(command, Packed) for command in commands):
        return connection.pack_commands(commands)
    parts: list[bytes] = []
    for command in commands:
        if isinstance(command, Packed):
            parts.append(command.wire)
        else:
            parts += connection.pack_command(*command)
    return [b"".join(parts)]
