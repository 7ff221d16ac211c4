"""What a link asks of its connections, to one server or to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scalekit.redis._packed import Command

Deliver: TypeAlias = "Callable[[int, Any], None]"
"""Takes the reply to a command, given the command's index; an error is a value, too."""


class Transport(Protocol):
    """Sends commands and returns their replies."""

    def exchange(self, commands: Sequence[Command], /) -> list[Any]:
        """Send all `commands`, then read all replies; an error reply is an element of the list."""
        ...

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        ...


class AsyncTransport(Protocol):
    """Sends commands and delivers their replies, on one event loop."""

    async def exchange(self, commands: Sequence[Command], deliver: Deliver, /) -> None:
        """Send all `commands` and call `deliver(index, reply)` for each, an error reply being a value, too.

        May be cancelled anywhere; what it leaves behind must not reach a later command.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
